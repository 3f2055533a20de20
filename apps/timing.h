// Rounds of a call, and beside them what the machine could have done at that moment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/context.h"

namespace tessera {

struct Timing {
  double median = 0, fastest = 0, slowest = 0;  // seconds
  // The median over rounds of the call's rate divided by the processor's peak right before and right after it.
  // Neighbours that slow the machine down for longer than a call slow both; shorter disturbances remain.
  double share_of_peak = 0;
  double peak = 0;  // 1e9 floating point operations per second, the median over rounds; 0 where not measured
};

struct TimingPlan {
  int least_rounds = 3;
  double least_seconds = 0;      // of timed calls, all together
  double multiply_adds = 0;      // of a call; 0: its share of the peak is 0
  std::function<double()> peak;  // measures it, in 1e9 floating point operations per second; empty: not measured
  std::function<void(int64_t)> on_round;  // called after each timed call with their number so far
};

// The peak of multiply-adds in the context's precision (kernels/cpu/machine_peak.h); empty for a device.
std::function<double()> peak_of(Context& context, int rounds = 1);

// One untimed call, then as many timed ones as the plan demands.
Timing time_calls(const TimingPlan& plan, const std::function<void()>& call);

// Waits for a device that works on by itself.
void synchronize(Context& context);

// The same of what a call launches on the context's device, to its end. On a GPU by its own clock, at least 50 calls
// whatever the plan says of seconds (kernels/cuda_devices.h); elsewhere as above, each call with a wait for the device.
Timing time_on_device(Context& context, const TimingPlan& plan, const std::function<void()>& call);

// "12.3 ms (fastest 11.9, slowest 14.0)"
std::string timing_text(const Timing& timing);

}  // namespace tessera
