// The checkers are checked: each kind of mistake is planted in a small kernel and must be found, and the same kernel
// without it must pass in every schedule. Of memory: planted_memory_test.cpp; races: planted_races_test.cpp.
#include <gtest/gtest.h>

#include "kernels/cuda/tensor_core.h"
#include "kernels/cuda/warp.h"
#include "tests/emulator/planted_kernels.h"

namespace tessera {
namespace {

using namespace testing_support;

#if !defined(__SANITIZE_THREAD__)  // which ends the process: planted_races_test.cpp
TEST(PlantedBug, BarriersOfAnExchange) {
  EXPECT_EQ(schedules_that_fail(exchange<Exchange::right>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(exchange<Exchange::no_barrier_before_read>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(exchange<Exchange::no_barrier_after_read>, exchanged()), 0);
}

TEST(PlantedBug, CommitsWaitsAndBarriersOfAPipeline) {
  EXPECT_EQ(schedules_that_fail(pipeline<Pipeline::right>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_commit>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_wait>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_barrier_after_wait>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_trailing_barrier>, exchanged()), 0);
}

TEST(PlantedBug, BlocksThatMeetNowhere) {
  EXPECT_EQ(schedules_that_fail(phases<true>, phased()), 0);
  EXPECT_GT(schedules_that_fail(phases<false>, phased()), 0);
}

TEST(PlantedBug, ABlockThatReadsWhatAnEarlierOneWrote) {
  const std::vector<int> in_order = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  EmulatedContext forward(EmulatorSchedule::forward());
  EXPECT_EQ(chain(forward), in_order);
  for (const uint64_t seed : {1, 2, 3}) {
    EmulatedContext shuffled(EmulatorSchedule::shuffled(seed));
    EXPECT_NE(chain(shuffled), in_order) << seed;
  }
}
#endif

constexpr int kDivergentKernel = __LINE__ + 1;
__global__ void divergent_kernel(bool diverge) {
  if (threadIdx.x >= 32 || !diverge) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(PlantedBug, DivergentBarrierNamesBothPlaces) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    EXPECT_EQ(message_of([&] { launch(divergent_kernel, 1, 64, 0, context, false); }), "");
    const std::string message = message_of([&] { launch(divergent_kernel, 1, 64, 0, context, true); });
    EXPECT_NE(message.find("divergent __syncthreads"), std::string::npos) << message;
    for (const int place : {kDivergentKernel + 2, kDivergentKernel + 4}) {
      EXPECT_NE(message.find("planted_bugs_test.cpp:" + std::to_string(place)), std::string::npos) << message;
    }
    EXPECT_EQ(message_of([&] { launch(divergent_kernel, 1, 64, 0, context, false); }), "") << "after a failure";
  }
}

__global__ void skipping_kernel() {
  if (threadIdx.x / 32 != 1) __syncthreads();
  __syncthreads();
}

TEST(PlantedBug, BarrierThatOneWarpSkipsIsDivergent) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    const std::string message = message_of([&] { launch(skipping_kernel, 1, 96, 0, context); });
    EXPECT_NE(message.find("divergent __syncthreads"), std::string::npos) << message;
  }
}

__global__ void early_return_kernel(int* y) {
  if (threadIdx.x >= 16) return;
  y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1);
}

__global__ void partial_warp_kernel(int* y) {
  y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1);
}

TEST(PlantedBug, LanesThatAShuffleMissesAreNamed) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    std::vector<int> y(32);
    const std::string message = message_of([&] { launch(early_return_kernel, 1, 32, 0, context, y.data()); });
    EXPECT_NE(message.find("has returned"), std::string::npos) << message;
    const std::string partial = message_of([&] { launch(partial_warp_kernel, 1, 20, 0, context, y.data()); });
    EXPECT_NE(partial.find("does not have"), std::string::npos) << partial;
  }
}

// One half of the warp calls `first`, the other `second`.
template <typename First, typename Second>
__global__ void two_operations_kernel(First first, Second second) {
  if (threadIdx.x < 16) {
    first();
  } else {
    second();
  }
}

template <typename First, typename Second>
std::string two_operations(First first, Second second) {
  EmulatedContext context;
  return message_of([&] { launch(two_operations_kernel<First, Second>, 1, 32, 0, context, first, second); });
}

template <typename First, typename Second>
void expect_disagreement(First first, Second second) {
  EXPECT_EQ(two_operations(first, first), "");
  EXPECT_EQ(two_operations(second, second), "");
  const std::string message = two_operations(first, second);
  EXPECT_NE(message.find("disagree"), std::string::npos) << message;
  EXPECT_NE(message.find("planted_bugs_test.cpp"), std::string::npos) << message;
}

__global__ void foreign_mask_kernel() { __syncwarp(0xffffu); }

TEST(PlantedBug, LanesThatDisagreeOnTheOperation) {
  const auto sync = [] { __syncwarp(); };
  const auto any = [] { __any_sync(kWholeWarp, 1); };
  const auto all = [] { __all_sync(kWholeWarp, 1); };
  const auto ballot = [] { __ballot_sync(kWholeWarp, 1); };
  const auto from = [] { __shfl_sync(kWholeWarp, 1, 1); };
  const auto exclusive_or = [] { __shfl_xor_sync(kWholeWarp, 1, 1); };
  const auto wide = [] { __shfl_xor_sync(kWholeWarp, 1.0, 1); };
  const auto up = [] { __shfl_up_sync(kWholeWarp, 1, 1); };
  const auto down = [] { __shfl_down_sync(kWholeWarp, 1, 1); };
  expect_disagreement(sync, any);
  expect_disagreement(any, all);
  expect_disagreement(any, ballot);
  expect_disagreement(from, exclusive_or);
  expect_disagreement(exclusive_or, down);
  expect_disagreement(down, up);
  expect_disagreement(exclusive_or, wide);
  // PTX asks for the same qualifiers of a shuffle, not for one place.
  EXPECT_EQ(two_operations(down, [] { __shfl_down_sync(kWholeWarp, 1, 1); }), "");
  EmulatedContext context;
  const std::string mask = message_of([&] { launch(foreign_mask_kernel, 1, 32, 0, context); });
  EXPECT_NE(mask.find("leaves out its own lane"), std::string::npos) << mask;
}

template <int matrices, bool transposed>
void load_any_matrices() {
  SHARED(rows, uint16_t[32][8]);
  uint32_t registers[matrices];
  ldmatrix<matrices, transposed>(registers, rows[threadIdx.x]);
}

TEST(PlantedBug, LanesThatDisagreeOnTheMatrices) {
  const auto one = [] { load_any_matrices<1, false>(); };
  const auto two = [] { load_any_matrices<2, false>(); };
  const auto transposed = [] { load_any_matrices<1, true>(); };
  expect_disagreement(one, two);
  expect_disagreement(one, transposed);
  const auto multiply = [](auto mma) {
    return [mma] {
      float d[4] = {};
      const uint32_t a[4] = {}, b[2] = {};
      mma(d, a, b);
    };
  };
  const auto half_product = multiply([](auto& d, auto& a, auto& b) { mma_m16n8k16<half>(d, a, b); });
  const auto elsewhere = multiply([](auto& d, auto& a, auto& b) { mma_m16n8k16<half>(d, a, b); });
  const auto bfloat16_product = multiply([](auto& d, auto& a, auto& b) { mma_m16n8k16<bfloat16>(d, a, b); });
  expect_disagreement(half_product, bfloat16_product);
  expect_disagreement(half_product, elsewhere);
}

__global__ void deadlock_kernel() {
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

TEST(PlantedBug, DeadlockSaysWhoWaitsWhere) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    const std::string message = message_of([&] { launch(deadlock_kernel, 2, 32, 0, context); });
    EXPECT_NE(message.find("deadlock, 32 threads"), std::string::npos) << message;
    EXPECT_NE(message.find("a warp operation at"), std::string::npos) << message;
    EXPECT_NE(message.find("__syncthreads at"), std::string::npos) << message;
    EXPECT_NE(message.find("thread (16, 0, 0)"), std::string::npos) << message;
  }
}

__global__ void empty_kernel() {}

template <int bytes>
__global__ void large_static_kernel() {
  SHARED(tile, char[bytes]);
  tile[threadIdx.x] = 0;
}

TEST(PlantedBug, LaunchesThatNoDeviceTakes) {
  EmulatedContext context;
  const auto refused = [&](dim3 grid, dim3 block, size_t shared_bytes) {
    return !message_of([&] { launch(empty_kernel, grid, block, shared_bytes, context); }).empty();
  };
  EXPECT_FALSE(refused(1, 1024, 99 << 10));
  EXPECT_FALSE(refused(1, dim3(4, 4, 64), 0));
  EXPECT_TRUE(refused(1, 1025, 0));
  EXPECT_TRUE(refused(1, dim3(33, 32), 0));
  EXPECT_TRUE(refused(1, dim3(1, 1, 65), 0));
  EXPECT_TRUE(refused(1, 0, 0));
  EXPECT_TRUE(refused(dim3(1, 65536), 1, 0));
  EXPECT_TRUE(refused(1, 32, (99 << 10) + 1));
  EXPECT_EQ(message_of([&] { launch(large_static_kernel<48 << 10>, 1, 32, 0, context); }), "");
  EXPECT_NE(message_of([&] { launch(large_static_kernel<(48 << 10) + 1>, 1, 32, 0, context); }), "");
  EXPECT_NE(message_of([&] { launch(large_static_kernel<16 << 10>, 1, 32, 90 << 10, context); }), "");
}

struct Parameter {
  char bytes[4096];
};

__global__ void large_parameter_kernel(Parameter) {}
__global__ void too_large_parameter_kernel(Parameter, char) {}

TEST(PlantedBug, MoreParametersThanAKernelMayHave) {
  EmulatedContext context;
  EXPECT_EQ(message_of([&] { launch(large_parameter_kernel, 1, 1, 0, context, Parameter{}); }), "");
  const std::string message =
      message_of([&] { launch(too_large_parameter_kernel, 1, 1, 0, context, Parameter{}, 'a'); });
  EXPECT_NE(message.find("4097 bytes of parameters"), std::string::npos) << message;
  static_assert(parameter_bytes<char, double, int>() == 20, "each at its alignment");
}

// A device must hold all blocks of a cooperative launch at once; ordinary ones wait for room.
TEST(PlantedBug, CooperativeLaunchesThatNoDeviceHolds) {
  EmulatedContext context;
  const auto refused = [&](auto kernel, unsigned blocks, unsigned threads, size_t shared_bytes) {
    const std::string message = message_of([&] { launch_cooperative(kernel, blocks, threads, shared_bytes, context); });
    EXPECT_TRUE(message.empty() || message.find("84 multiprocessors") != std::string::npos) << message;
    return !message.empty();
  };
  EXPECT_FALSE(refused(empty_kernel, 84, 1, 99 << 10));
  EXPECT_TRUE(refused(empty_kernel, 85, 1, 99 << 10));
  EXPECT_TRUE(refused(empty_kernel, 85, 1024, 0));
  EXPECT_TRUE(refused(empty_kernel, 84 * 16 + 1, 1, 0));
  EXPECT_FALSE(refused(large_static_kernel<48 << 10>, 168, 1, 0));
  EXPECT_TRUE(refused(large_static_kernel<48 << 10>, 169, 1, 0));
  EXPECT_EQ(message_of([&] { launch(empty_kernel, 200, 1, 99 << 10, context); }), "");
}

TEST(PlantedBug, AnEmptyGridIsNothing) {
  EmulatedContext context;
  EXPECT_EQ(message_of([&] { launch(empty_kernel, 0, 32, 0, context); }), "");
}

}  // namespace
}  // namespace tessera
