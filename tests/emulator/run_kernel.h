// Runs kernels of tests on the emulator and says what came of it.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "kernels/cuda/port.h"

namespace tessera::testing_support {

// Both schedules that the op tests use.
inline std::vector<EmulatorSchedule> emulator_schedules() {
  return {EmulatorSchedule::forward(), EmulatorSchedule::shuffled(), EmulatorSchedule::shuffled(2)};
}

// The message of the std::exception that action throws, empty when it throws none.
template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

// How many schedules give another result than `expected`, or an error.
template <typename Run, typename Value>
int schedules_that_fail(Run&& run, const std::vector<Value>& expected) {
  int failed = 0;
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    std::vector<Value> result;
    const std::string message = message_of([&] { result = run(context); });
    if (!message.empty() || result != expected) ++failed;
  }
  return failed;
}

}  // namespace tessera::testing_support
