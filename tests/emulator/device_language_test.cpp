// What kernels see of CUDA: indices, shuffles, votes, reductions, atomics, grid-wide phases.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>

#include "kernels/cuda/warp.h"
#include "tests/emulator/planted_kernels.h"

namespace tessera {
namespace {

using namespace testing_support;

__global__ void indices_kernel(int* seen) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  __syncthreads();
  seen[block * threads + thread] += 1;
}

TEST(DeviceLanguage, EveryThreadOfEveryBlockRunsOnce) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    std::vector<int> seen(2 * 3 * 2 * 5 * 4 * 3, 0);
    launch(indices_kernel, dim3(2, 3, 2), dim3(5, 4, 3), 0, context, seen.data());
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

// Each lane's result of one operation.
template <typename Operation>
__global__ void per_lane_kernel(Operation operation, int* result) {
  result[threadIdx.x] = operation(static_cast<int>(threadIdx.x));
}

template <typename Operation>
std::vector<int> per_lane(Operation operation) {
  std::vector<int> first;
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    std::vector<int> result(32, -1);
    launch(per_lane_kernel<Operation>, 1, 32, 0, context, operation, result.data());
    if (first.empty()) first = result;
    EXPECT_EQ(result, first) << "depends on the schedule";
  }
  return first;
}

template <typename Expected>
std::vector<int> lanes(Expected expected) {
  std::vector<int> values;
  for (int lane = 0; lane < 32; ++lane) values.push_back(expected(lane));
  return values;
}

TEST(DeviceLanguage, ShufflesMoveValuesWithinSegments) {
  EXPECT_EQ(per_lane([](int lane) { return __shfl_sync(kWholeWarp, 10 * lane, 5); }), lanes([](int) { return 50; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_sync(kWholeWarp, lane, lane + 3); }),
            lanes([](int lane) { return (lane + 3) % 32; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_sync(kWholeWarp, lane, 1, 8); }),
            lanes([](int lane) { return lane / 8 * 8 + 1; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_xor_sync(kWholeWarp, lane, 5); }),
            lanes([](int lane) { return lane ^ 5; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_xor_sync(kWholeWarp, lane, 16, 16); }),
            lanes([](int lane) { return lane < 16 ? lane : lane ^ 16; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_down_sync(kWholeWarp, lane, 3); }),
            lanes([](int lane) { return lane + 3 < 32 ? lane + 3 : lane; }));
  EXPECT_EQ(per_lane([](int lane) { return __shfl_up_sync(kWholeWarp, lane, 2, 4); }),
            lanes([](int lane) { return lane % 4 >= 2 ? lane - 2 : lane; }));
}

TEST(DeviceLanguage, HalvesOfAWarpShuffleByThemselves) {
  EXPECT_EQ(per_lane([](int lane) {
              const unsigned mask = lane < 16 ? 0xffffu : 0xffff0000u;
              int sum = lane;
              for (int distance = 8; distance > 0; distance /= 2) sum += __shfl_xor_sync(mask, sum, distance);
              return sum;
            }),
            lanes([](int lane) { return lane < 16 ? 120 : 120 + 256; }));
}

TEST(DeviceLanguage, VotesCountTheMask) {
  EXPECT_EQ(per_lane([](int lane) { return static_cast<int>(__ballot_sync(kWholeWarp, lane % 3 == 0)); }),
            lanes([](int) {
              unsigned ballot = 0;
              for (int lane = 0; lane < 32; lane += 3) ballot |= 1u << lane;
              return static_cast<int>(ballot);
            }));
  EXPECT_EQ(per_lane([](int lane) { return __any_sync(kWholeWarp, lane == 31); }), lanes([](int) { return 1; }));
  EXPECT_EQ(per_lane([](int lane) { return __all_sync(kWholeWarp, lane != 31); }), lanes([](int) { return 0; }));
  EXPECT_EQ(per_lane([](int lane) { return __syncthreads_count(lane > 20); }), lanes([](int) { return 11; }));
  EXPECT_EQ(per_lane([](int lane) { return __syncthreads_and(lane >= 0) + 2 * __syncthreads_or(lane > 31); }),
            lanes([](int) { return 1; }));
}

TEST(DeviceLanguage, ReductionsOfAWarp) {
  EXPECT_EQ(per_lane([](int lane) { return warp_sum(lane); }), lanes([](int) { return 496; }));
  EXPECT_EQ(per_lane([](int lane) { return warp_max((lane * 7) % 32); }), lanes([](int) { return 31; }));
  EXPECT_EQ(per_lane([](int lane) { return warp_min(lane ^ 9); }), lanes([](int) { return 0; }));
  EXPECT_EQ(per_lane([](int lane) { return static_cast<int>(warp_sum(0.5 * lane)); }), lanes([](int) { return 248; }));
}

__global__ void block_sums_kernel(const double* x, double* sums) {
  const double first = block_sum(x[threadIdx.x]);
  const double second = block_sum(first + 1);
  sums[threadIdx.x] = second;
}

TEST(DeviceLanguage, BlockSumMayBeCalledAgainAtOnce) {
  for (const int threads : {32, 96, 1024}) {
    std::vector<double> x(static_cast<size_t>(threads));
    std::iota(x.begin(), x.end(), 1.0);
    const double sum = threads * (threads + 1) / 2.0;
    const auto run = [&](EmulatedContext& context) {
      std::vector<double> sums(x.size());
      launch(block_sums_kernel, 1, static_cast<unsigned>(threads), 0, context, x.data(), sums.data());
      return sums;
    };
    EXPECT_EQ(schedules_that_fail(run, std::vector<double>(x.size(), threads * (sum + 1))), 0);
  }
}

__global__ void atomics_kernel(int* counters, unsigned long long* wide) {
  const int thread = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&counters[0], thread);
  atomicMax(&counters[1], thread);
  atomicMin(&counters[2], -thread);
  atomicOr(&counters[3], 1 << (thread % 5));
  atomicCAS(&counters[4], 0, 7);
  atomicAdd(wide, 1ull << 33);
}

TEST(DeviceLanguage, IntegerAtomics) {
  EmulatedContext context;
  std::vector<int> counters(5, 0);
  unsigned long long wide = 0;
  launch(atomics_kernel, 3, 64, 0, context, counters.data(), &wide);
  EXPECT_EQ(counters, (std::vector<int>{191 * 192 / 2, 191, -191, 31, 7}));
  EXPECT_EQ(wide, 192ull << 33);
}

__global__ void returning_kernel(int* y) {
  if (threadIdx.x % 2 == 1) return;  // threads that returned are not waited for
  __syncthreads();
  y[threadIdx.x] = 1;
}

TEST(DeviceLanguage, BarriersWaitOnlyForThreadsThatHaveNotReturned) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    std::vector<int> y(64, 0);
    launch(returning_kernel, 1, 64, 0, context, y.data());
    EXPECT_EQ(std::accumulate(y.begin(), y.end(), 0), 32);
  }
}

__global__ void stride_kernel(int64_t count, int* y) {
  for_each_element(count, [&](int64_t i) { y[i] += static_cast<int>(i); });
}

TEST(DeviceLanguage, GridStrideLoopsVisitEachElementOnce) {
  EmulatedContext context;
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{1000}}) {
    std::vector<int> y(1000, 0);
    launch(stride_kernel, count == 0 ? 0 : 2, 64, 0, context, count, y.data());
    for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(y[static_cast<size_t>(i)], i < count ? i : 0);
  }
  EXPECT_EQ(grid_for(0, 256), 0u);
  EXPECT_EQ(grid_for(257, 256), 2u);
}

TEST(DeviceLanguage, TheGridBarrierIsOfCooperativeLaunches) {
  EmulatedContext context;
  std::vector<int> values(1), sum(1);
  EXPECT_NE(message_of([&] { launch(phases_kernel<true>, 1, 32, 0, context, values.data(), sum.data()); }), "");
}

}  // namespace
}  // namespace tessera
