#include "apps/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "kernels/cpu/machine_peak.h"
#include "kernels/cuda_devices.h"

namespace tessera {

namespace {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::function<double()> peak_of(Context& context, int rounds) {
  if (context.backend() != Backend::cpu) return {};
  auto& cpu = static_cast<CpuContext&>(context);
  if (precision_of(context) == ConvMath::bf16) return [&cpu, rounds] { return measure_bf16_peak(cpu, rounds); };
  return [&cpu, rounds] { return measure_fma_peak(cpu, rounds); };
}

Timing time_calls(const TimingPlan& plan, const std::function<void()>& call) {
  const auto peak = [&] { return plan.peak ? plan.peak() : 0.0; };
  std::vector<double> seconds, shares, peaks;
  call();
  double before = peak();
  for (double total = 0; static_cast<int>(seconds.size()) < plan.least_rounds || total < plan.least_seconds;
       total += seconds.back()) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    const double after = peak();
    peaks.push_back((before + after) / 2);
    if (plan.peak) shares.push_back(2e-9 * plan.multiply_adds / seconds.back() / peaks.back());
    before = after;
    if (plan.on_round) plan.on_round(static_cast<int64_t>(seconds.size()));
  }
  const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
  return {median_of(seconds), *fastest, *slowest, shares.empty() ? 0 : median_of(shares), median_of(peaks)};
}

void synchronize(Context& context) {
  dispatch(context, [](auto& device) {
    if constexpr (requires { device.synchronize(); }) device.synchronize();
  });
}

Timing time_on_device(Context& context, const TimingPlan& plan, const std::function<void()>& call) {
#if TESSERA_CUDA
  if (context.backend() == Backend::cuda) {
    constexpr int kWarmUps = 5, kLeastCalls = 50;
    auto& gpu = static_cast<CudaContext&>(context);
    for (int i = 0; i < kWarmUps; ++i) call();
    const std::vector<double> seconds = device_seconds(gpu, std::max(kLeastCalls, plan.least_rounds), call);
    const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
    return {median_of(seconds), *fastest, *slowest};
  }
#endif
  return time_calls(plan, [&] {
    call();
    synchronize(context);
  });
}

std::string timing_text(const Timing& timing) {
  return fmt::format("{:.1f} ms (fastest {:.1f}, slowest {:.1f})", timing.median * 1e3, timing.fastest * 1e3,
                     timing.slowest * 1e3);
}

}  // namespace tessera
