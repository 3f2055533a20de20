#include "engine/core/device.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "engine/core/dispatch.h"

namespace tessera {
namespace {

TEST(Device, NamesAreRead) {
  EXPECT_EQ(parse_device("cpu"), (Device{Backend::cpu, 0}));
  EXPECT_EQ(parse_device("emulated"), (Device{Backend::emulated, 0}));
  EXPECT_EQ(parse_device("cuda"), (Device{Backend::cuda, 0}));
  EXPECT_EQ(parse_device("cuda:12"), (Device{Backend::cuda, 12}));
  EXPECT_NO_THROW(make_context(parse_device("auto")));
  for (const char* name : {"cpu", "emulated", "cuda:3"}) EXPECT_EQ(parse_device(name).to_string(), name);
}

TEST(Device, OtherNamesAreUsageErrors) {
  for (const char* name : {"", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "cpu:0", "plan"}) {
    try {
      parse_device(name);
      ADD_FAILURE() << "'" << name << "' was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << name;
      EXPECT_FALSE(error.hint().empty());
    }
  }
}

TEST(Device, DispatchReachesTheConcreteContextAndSkipsPlans) {
  const auto reached = [](Context& context) {
    Backend backend = Backend::plan;
    dispatch(context, [&](auto& concrete) {
      if constexpr (std::is_same_v<decltype(concrete), CpuContext&>) backend = Backend::cpu;
      if constexpr (std::is_same_v<decltype(concrete), EmulatedContext&>) backend = Backend::emulated;
    });
    return backend;
  };
  CpuContext cpu(3);
  EmulatedContext emulated;
  EXPECT_EQ(reached(cpu), Backend::cpu);
  EXPECT_EQ(reached(emulated), Backend::emulated);
  PlanContext plan;
  dispatch(plan, [&](auto&) { ADD_FAILURE() << "a plan computes nothing"; });
}

TEST(Device, KernelsThatAreNotWrittenForADeviceSaySo) {
  EmulatedContext emulated;
  try {
    dispatch(emulated, [](auto&) { throw KernelNotYet("some_kernel"); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const MissingKernel& error) {
    EXPECT_EQ(error.code(), ExitCode::device);
    EXPECT_NE(std::string(error.what()).find("some_kernel"), std::string::npos);
    EXPECT_EQ(error.hint(), "--device cpu");
  }
}

TEST(Device, EmulatedDeviceIsPartOfEveryBuild) {
  EXPECT_EQ(make_context(parse_device("emulated"))->backend(), Backend::emulated);
}

TEST(Device, AbsentGpuIsADeviceError) {
  try {
    make_context(parse_device("cuda:63"));
    ADD_FAILURE() << "a 64th GPU was found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::device);
    EXPECT_NE(std::string(error.what()).find("cuda:63"), std::string::npos);
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(Device, SchedulesOfTheEmulatorAreRead) {
  EXPECT_EQ(parse_emulator_schedule("").order, EmulatorSchedule::Order::forward);
  EXPECT_TRUE(parse_emulator_schedule("forward").late_copies);
  EXPECT_EQ(parse_emulator_schedule("shuffled").order, EmulatorSchedule::Order::shuffled);
  EXPECT_FALSE(parse_emulator_schedule("shuffled").late_copies);
  EXPECT_EQ(parse_emulator_schedule("shuffled:17").seed, 17u);
  for (const char* name : {"backward", "shuffled:", "shuffled:x", "shuffled:-1"}) {
    EXPECT_THROW(parse_emulator_schedule(name), Error) << name;
  }
}

}  // namespace
}  // namespace tessera
