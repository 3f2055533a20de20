// The checkers are checked: each kind of mistake is planted in a small kernel and must be found, and the same kernel
// without it must pass in every schedule.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/warp.h"
#include "tests/emulator/run_kernel.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr int kThreads = 96;

std::vector<float> counting(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values[static_cast<size_t>(i)] = static_cast<float>(i);
  return values;
}

// y[t] = sum over rounds of the input of the thread on the other side of the block, through shared memory.
enum class Exchange { right, no_barrier_before_read, no_barrier_after_read };

template <Exchange plant>
__global__ void exchange_kernel(const float* x, float* y, int rounds) {
  SHARED(tile, float[kThreads]);
  const int t = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int round = 0; round < rounds; ++round) {
    tile[t] = x[round * kThreads + t];
    if constexpr (plant != Exchange::no_barrier_before_read) __syncthreads();
    sum += tile[kThreads - 1 - t];
    if constexpr (plant != Exchange::no_barrier_after_read) __syncthreads();
  }
  y[t] = sum;
}

template <Exchange plant>
std::vector<float> exchange(EmulatedContext& context) {
  const std::vector<float> x = counting(3 * kThreads);
  std::vector<float> y(kThreads);
  launch(exchange_kernel<plant>, 1, kThreads, 0, context, x.data(), y.data(), 3);
  return y;
}

[[maybe_unused]] std::vector<float> exchanged() {
  std::vector<float> expected;
  for (int t = 0; t < kThreads; ++t) expected.push_back(static_cast<float>(3 * (kThreads - 1 - t) + 3 * kThreads));
  return expected;
}

#if !defined(__SANITIZE_THREAD__)  // which ends the process; below
TEST(PlantedBug, BarriersOfAnExchange) {
  EXPECT_EQ(schedules_that_fail(exchange<Exchange::right>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(exchange<Exchange::no_barrier_before_read>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(exchange<Exchange::no_barrier_after_read>, exchanged()), 0);
}
#endif

// The same through double-buffered asynchronous copies: the copy of the next round flies while this one is read.
enum class Pipeline { right, no_wait, no_barrier_after_wait, no_trailing_barrier };

template <Pipeline plant>
__global__ void pipeline_kernel(const float* x, float* y, int rounds) {
  SHARED(tiles, float[2][kThreads]);
  const int t = static_cast<int>(threadIdx.x);
  copy_async<4>(&tiles[0][t], x + t);
  copy_async_commit();
  float sum = 0;
  for (int round = 0; round < rounds; ++round) {
    const bool more = round + 1 < rounds;
    copy_async<4>(&tiles[(round + 1) % 2][t], x + (more ? (round + 1) * kThreads + t : 0), more);
    copy_async_commit();
    if constexpr (plant != Pipeline::no_wait) copy_async_wait<1>();
    if constexpr (plant != Pipeline::no_barrier_after_wait) __syncthreads();
    sum += tiles[round % 2][kThreads - 1 - t];
    if constexpr (plant != Pipeline::no_trailing_barrier) __syncthreads();
  }
  y[t] = sum;
}

template <Pipeline plant>
std::vector<float> pipeline(EmulatedContext& context) {
  const std::vector<float> x = counting(3 * kThreads);
  std::vector<float> y(kThreads);
  launch(pipeline_kernel<plant>, 1, kThreads, 0, context, x.data(), y.data(), 3);
  return y;
}

#if !defined(__SANITIZE_THREAD__)  // which ends the process; below
TEST(PlantedBug, WaitsAndBarriersOfAPipeline) {
  EXPECT_EQ(schedules_that_fail(pipeline<Pipeline::right>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_wait>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_barrier_after_wait>, exchanged()), 0);
  EXPECT_GT(schedules_that_fail(pipeline<Pipeline::no_trailing_barrier>, exchanged()), 0);
}
#endif

__global__ void stale_shared_kernel(float* y) {
  SHARED(sum, float[4]);
  if (threadIdx.x == 0) sum[0] += 1.0f;  // never set
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = sum[0];
}

TEST(PlantedBug, SharedMemoryIsNotANumberInEveryBlock) {
  EmulatedContext context;
  std::vector<float> y(3, 0.0f);
  launch(stale_shared_kernel, 3, 32, 0, context, y.data());
  for (const float value : y) EXPECT_TRUE(std::isnan(value));
}

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

__global__ void disagreeing_kernel() {
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __any_sync(0xffffffffu, 1);
  }
}

__global__ void foreign_mask_kernel() { __syncwarp(0xffffu); }

TEST(PlantedBug, LanesThatDisagreeOnTheOperation) {
  EmulatedContext context;
  const std::string message = message_of([&] { launch(disagreeing_kernel, 1, 32, 0, context); });
  EXPECT_NE(message.find("disagree"), std::string::npos) << message;
  const std::string mask = message_of([&] { launch(foreign_mask_kernel, 1, 32, 0, context); });
  EXPECT_NE(mask.find("leaves out its own lane"), std::string::npos) << mask;
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

__global__ void misaligned_kernel(const float* x, float* y) { store4(y, load4(x + 1)); }

__global__ void misaligned_copy_kernel(const float* x) {
  SHARED(tile, float[8]);
  copy_async<16>(tile + 2, x);
}

TEST(PlantedBug, MisalignedVectorsAreRefused) {
  EmulatedContext context;
  alignas(16) const float x[8] = {};
  alignas(16) float y[4];
  const std::string message = message_of([&] { launch(misaligned_kernel, 1, 1, 0, context, &x[0], &y[0]); });
  EXPECT_NE(message.find("misaligned"), std::string::npos) << message;
  EXPECT_NE(message.find("planted_bugs_test.cpp"), std::string::npos) << message;
  const std::string copy = message_of([&] { launch(misaligned_copy_kernel, 1, 1, 0, context, &x[0]); });
  EXPECT_NE(copy.find("misaligned"), std::string::npos) << copy;
}

__global__ void shared_overflow_kernel(int at, bool dynamic) {
  SHARED(tile, float[40]);
  float* array = dynamic ? dynamic_shared<float>() : tile;
  if (threadIdx.x == 0) array[at] = 1.0f;
}

#if defined(__SANITIZE_ADDRESS__)
__global__ void global_overflow_kernel(float* y, int count) {
  if (static_cast<int>(threadIdx.x) <= count) y[threadIdx.x] = 1.0f;
}

TEST(PlantedBugDeathTest, AddressSanitizerSeesWritesBeyondAnArray) {
  EmulatedContext context;
  for (const bool dynamic : {false, true}) {
    EXPECT_DEATH(launch(shared_overflow_kernel, 1, 32, 160, context, 40, dynamic), "heap-buffer-overflow");
    EXPECT_DEATH(launch(shared_overflow_kernel, 1, 32, 160, context, -1, dynamic), "heap-buffer-overflow");
  }
  const Scratch<float> y(context, 20);
  launch(global_overflow_kernel, 1, 32, 0, context, y.data(), 19);
  EXPECT_DEATH(launch(global_overflow_kernel, 1, 32, 0, context, y.data(), 20), "heap-buffer-overflow");
}

__global__ void many_locals_kernel(float* y) {
  volatile float locals[1 << 15];
  for (int i = 0; i < (1 << 15); ++i) locals[i] = static_cast<float>(i);
  y[0] = locals[threadIdx.x];
}

TEST(PlantedBugDeathTest, TooManyLocalsHitTheGuardPage) {
  EmulatedContext context;
  float y = 0;
  EXPECT_DEATH(launch(many_locals_kernel, 1, 32, 0, context, &y), "stack-overflow");
}
#else
TEST(PlantedBug, WritesBeyondASharedArrayAreFoundAtTheEndOfTheBlock) {
  EmulatedContext context;
  for (const bool dynamic : {false, true}) {
    EXPECT_EQ(message_of([&] { launch(shared_overflow_kernel, 1, 32, 160, context, 39, dynamic); }), "");
    const std::string behind = message_of([&] { launch(shared_overflow_kernel, 1, 32, 160, context, 40, dynamic); });
    EXPECT_NE(behind.find("wrote behind"), std::string::npos) << behind;
    const std::string front = message_of([&] { launch(shared_overflow_kernel, 1, 32, 160, context, -1, dynamic); });
    EXPECT_NE(front.find("wrote in front of"), std::string::npos) << front;
  }
}
#endif

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

TEST(PlantedBug, AnEmptyGridIsNothing) {
  EmulatedContext context;
  EXPECT_EQ(message_of([&] { launch(empty_kernel, 0, 32, 0, context); }), "");
}

#if defined(__SANITIZE_THREAD__)
// Races that no order of the threads shows; ThreadSanitizer ends the process with 66.
enum class Race { none, no_syncwarp, no_syncwarp_before_overwrite };

template <Race plant>
__global__ void shuffle_as_barrier_kernel(const float* x, float* y) {
  SHARED(tile, float[32]);
  const int lane = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int round = 0; round < 2; ++round) {
    tile[lane] = x[lane] + static_cast<float>(round);
    sum += warp_sum(tile[lane]);  // all lanes are here, but that orders no memory
    if constexpr (plant != Race::no_syncwarp) __syncwarp();
    sum += tile[31 - lane];
    if constexpr (plant != Race::no_syncwarp_before_overwrite) __syncwarp();
  }
  y[lane] = sum;
}

template <bool atomic>
__global__ void blocks_add_kernel(int* sum) {
  if (threadIdx.x != 0) return;
  if constexpr (atomic) {
    atomicAdd(sum, 1);
  } else {
    *sum += 1;
  }
}

__global__ void last_block_kernel(const float* x, float* partial, unsigned* arrived, float* y) {
  SHARED(last, bool[1]);
  const float sum = block_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last[0] = atomicAdd(arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last[0] || threadIdx.x != 0) return;
  float total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += partial[i];
  *y = total;
}

TEST(PlantedRaceDeathTest, AShuffleIsNoBarrier) {
  const std::vector<float> x = counting(32);
  std::vector<float> y(32);
  EmulatedContext context;
  const auto run = [&](auto kernel) { launch(kernel, 1, 32, 0, context, x.data(), y.data()); };
  run(shuffle_as_barrier_kernel<Race::none>);
  EXPECT_EXIT(run(shuffle_as_barrier_kernel<Race::no_syncwarp>), testing::ExitedWithCode(66), "data race");
  EXPECT_EXIT(run(shuffle_as_barrier_kernel<Race::no_syncwarp_before_overwrite>), testing::ExitedWithCode(66),
              "data race");
}

TEST(PlantedRaceDeathTest, BarriersAndPipelines) {
  EmulatedContext context;
  exchange<Exchange::right>(context);
  pipeline<Pipeline::right>(context);
  EXPECT_EXIT(exchange<Exchange::no_barrier_before_read>(context), testing::ExitedWithCode(66), "data race");
  EXPECT_EXIT(exchange<Exchange::no_barrier_after_read>(context), testing::ExitedWithCode(66), "data race");
  EXPECT_EXIT(pipeline<Pipeline::no_barrier_after_wait>(context), testing::ExitedWithCode(66), "data race");
  EXPECT_EXIT(pipeline<Pipeline::no_trailing_barrier>(context), testing::ExitedWithCode(66), "data race");
}

TEST(PlantedRaceDeathTest, BlocksThatWriteOnePlace) {
  EmulatedContext context;
  int sum = 0;
  launch(blocks_add_kernel<true>, 4, 32, 0, context, &sum);
  EXPECT_EQ(sum, 4);
  EXPECT_EXIT(launch(blocks_add_kernel<false>, 4, 32, 0, context, &sum), testing::ExitedWithCode(66), "data race");
}

TEST(PlantedRaceDeathTest, FenceAndCounterOrderTheLastBlock) {
  EmulatedContext context;
  const std::vector<float> x = counting(256);
  std::vector<float> partial(4);
  unsigned arrived = 0;
  float y = 0;
  launch(last_block_kernel, 4, 64, 0, context, x.data(), partial.data(), &arrived, &y);
  EXPECT_EQ(y, 255.0f * 128);
}
#endif

}  // namespace
}  // namespace tessera
