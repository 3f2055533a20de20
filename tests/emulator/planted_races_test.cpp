// The race checker is checked (make races): races that no order of the threads shows must be found, and the same
// kernels without them must pass. ThreadSanitizer ends the process with 66.
#if defined(__SANITIZE_THREAD__)
#include <gtest/gtest.h>

#include <utility>

#include "kernels/cuda/warp.h"
#include "tests/emulator/planted_kernels.h"

namespace tessera {
namespace {

using namespace testing_support;

const testing::ExitedWithCode kFound(66);
constexpr const char* kReport = "data race";

// In processes that begin anew: in a forked one ThreadSanitizer ignores what the thread that forked says of the order.
class PlantedRaceDeathTest : public testing::Test {
 protected:
  PlantedRaceDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

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

TEST_F(PlantedRaceDeathTest, AShuffleIsNoBarrier) {
  const std::vector<float> x = counting(32);
  std::vector<float> y(32);
  EmulatedContext context;
  const auto run = [&](auto kernel) { launch(kernel, 1, 32, 0, context, x.data(), y.data()); };
  run(shuffle_as_barrier_kernel<Race::none>);
  EXPECT_EXIT(run(shuffle_as_barrier_kernel<Race::no_syncwarp>), kFound, kReport);
  EXPECT_EXIT(run(shuffle_as_barrier_kernel<Race::no_syncwarp_before_overwrite>), kFound, kReport);
}

TEST_F(PlantedRaceDeathTest, BarriersAndPipelines) {
  for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
    EmulatedContext context(schedule);
    exchange<Exchange::right>(context);
    pipeline<Pipeline::right>(context);
    EXPECT_EXIT(exchange<Exchange::no_barrier_before_read>(context), kFound, kReport);
    EXPECT_EXIT(exchange<Exchange::no_barrier_after_read>(context), kFound, kReport);
    EXPECT_EXIT(pipeline<Pipeline::no_barrier_after_wait>(context), kFound, kReport);
    EXPECT_EXIT(pipeline<Pipeline::no_trailing_barrier>(context), kFound, kReport);
  }
}

// Each thread changes the source of its neighbour's copy: after the copy, while it flies, or before it is issued.
enum class Overwrite { after_wait, in_flight, before_issue };

template <Overwrite when>
__global__ void copied_source_kernel(float* x, float* y) {
  SHARED(tile, float[kThreads]);
  const int t = static_cast<int>(threadIdx.x), neighbour = (t + 1) % kThreads;
  if constexpr (when == Overwrite::before_issue) x[neighbour] = 1.0f;
  copy_async<4>(&tile[t], x + t);
  copy_async_commit();
  if constexpr (when == Overwrite::in_flight) {
    __syncthreads();
    x[neighbour] = 1.0f;
  }
  copy_async_wait<0>();
  __syncthreads();
  if constexpr (when == Overwrite::after_wait) x[neighbour] = 1.0f;
  y[t] = tile[t];
}

TEST_F(PlantedRaceDeathTest, TheSourceOfACopyIsReadUntilItsWait) {
  for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
    EmulatedContext context(schedule);
    std::vector<float> x = counting(kThreads), y(kThreads);
    const auto run = [&](auto kernel) { launch(kernel, 1, kThreads, 0, context, x.data(), y.data()); };
    run(copied_source_kernel<Overwrite::after_wait>);
    EXPECT_EXIT(run(copied_source_kernel<Overwrite::in_flight>), kFound, kReport);
    EXPECT_EXIT(run(copied_source_kernel<Overwrite::before_issue>), kFound, kReport);
  }
}

// Block b adds to place b % places: the blocks that collide are `places` apart.
template <bool atomic>
__global__ void blocks_add_kernel(int* sums, int places) {
  if (threadIdx.x != 0) return;
  int* sum = sums + static_cast<int>(blockIdx.x) % places;
  if constexpr (atomic) {
    atomicAdd(sum, 1);
  } else {
    *sum += 1;
  }
}

// Threads of a block, places.
constexpr std::pair<int, int> kCollisions[] = {{32, 1}, {32, 2}, {64, 16}, {256, 2}};

TEST_F(PlantedRaceDeathTest, BlocksThatWriteOnePlace) {
  EmulatedContext context;
  for (const auto& [threads, places] : kCollisions) {
    std::vector<int> sums(static_cast<size_t>(places), 0);
    const auto blocks = static_cast<unsigned>(2 * places), block = static_cast<unsigned>(threads);
    launch(blocks_add_kernel<true>, blocks, block, 0, context, sums.data(), places);
    EXPECT_EQ(sums, std::vector<int>(sums.size(), 2));
    EXPECT_EXIT(launch(blocks_add_kernel<false>, blocks, block, 0, context, sums.data(), places), kFound, kReport)
        << places << " apart, of " << threads << " threads";
  }
}

// Slices of a sum along the second axis of the grid, whose blocks are a row of the grid apart: each with a result of
// its own, or all with one.
template <bool own_result>
__global__ void split_sum_kernel(const float* x, float* y) {
  const unsigned slice = own_result ? blockIdx.y : 0;
  y[(slice * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x] +=
      x[(blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x];
}

TEST_F(PlantedRaceDeathTest, SlicesThatAddToOneResult) {
  EmulatedContext context;
  for (const unsigned columns : {2u, 6u}) {
    const std::vector<float> x = counting(static_cast<int>(columns) * 2 * 64);
    std::vector<float> y(columns * 2 * 64, 0.0f);
    const auto run = [&](auto kernel) { launch(kernel, dim3(columns, 2), 64, 0, context, x.data(), y.data()); };
    run(split_sum_kernel<true>);
    EXPECT_EQ(y, x);
    EXPECT_EXIT(run(split_sum_kernel<false>), kFound, kReport);
  }
}

TEST_F(PlantedRaceDeathTest, BlocksThatWaitForNoOther) {
  for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
    EmulatedContext context(schedule);
    EXPECT_EQ(phases<true>(context), phased());
    EXPECT_EXIT(phases<false>(context), kFound, kReport);
    EXPECT_EXIT(chain(context), kFound, kReport);
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

TEST_F(PlantedRaceDeathTest, FenceAndCounterOrderTheLastBlock) {
  EmulatedContext context;
  const std::vector<float> x = counting(256);
  std::vector<float> partial(4);
  unsigned arrived = 0;
  float y = 0;
  launch(last_block_kernel, 4, 64, 0, context, x.data(), partial.data(), &arrived, &y);
  EXPECT_EQ(y, 255.0f * 128);
}

}  // namespace
}  // namespace tessera
#endif
