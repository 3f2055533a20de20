#include "engine/core/device.h"

#include <gtest/gtest.h>

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
  CpuContext cpu(3);
  int threads = 0;
  dispatch(cpu, [&](auto& backend) { threads = backend.threads(); });
  EXPECT_EQ(threads, 3);
  PlanContext plan;
  dispatch(plan, [&](auto&) { ADD_FAILURE() << "a plan computes nothing"; });
}

}  // namespace
}  // namespace tessera
