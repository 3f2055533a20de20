// Kernels with a mistake to choose, which the tests of the checkers and those of the race checker run alike.
#pragma once

#include <vector>

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/grid_sync.h"
#include "tests/emulator/run_kernel.h"

namespace tessera::testing_support {

inline constexpr int kThreads = 96;

inline std::vector<float> counting(int count) {
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

// The same through double-buffered asynchronous copies: the copy of the next round flies while this one is read.
enum class Pipeline { right, no_commit, no_wait, no_barrier_after_wait, no_trailing_barrier };

template <Pipeline plant>
__global__ void pipeline_kernel(const float* x, float* y, int rounds) {
  SHARED(tiles, float[2][kThreads]);
  const int t = static_cast<int>(threadIdx.x);
  copy_async<4>(&tiles[0][t], x + t);
  if constexpr (plant != Pipeline::no_commit) copy_async_commit();
  float sum = 0;
  for (int round = 0; round < rounds; ++round) {
    const bool more = round + 1 < rounds;
    copy_async<4>(&tiles[(round + 1) % 2][t], x + (more ? (round + 1) * kThreads + t : 0), more);
    if constexpr (plant != Pipeline::no_commit) copy_async_commit();
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

// What exchange and pipeline give.
inline std::vector<float> exchanged() {
  std::vector<float> expected;
  for (int t = 0; t < kThreads; ++t) expected.push_back(static_cast<float>(3 * (kThreads - 1 - t) + 3 * kThreads));
  return expected;
}

// sum[b] = values of the next two blocks.
template <bool barrier>
__global__ void phases_kernel(int* values, int* sum) {
  const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
  if (threadIdx.x == 0) values[block] = block + 1;
  if constexpr (barrier) grid_sync();
  if (threadIdx.x == 0) sum[block] = values[(block + 1) % blocks] + values[(block + 2) % blocks];
}

template <bool barrier>
std::vector<int> phases(EmulatedContext& context) {
  std::vector<int> values(4, 0), sum(4, 0);
  launch_cooperative(phases_kernel<barrier>, 4, 64, 0, context, values.data(), sum.data());
  return sum;
}

inline std::vector<int> phased() { return {5, 7, 5, 3}; }

// Each block takes what the block before it wrote: right only while blocks run one after another in their order.
__global__ inline void chain_kernel(int* y) {
  if (threadIdx.x == 0) y[blockIdx.x + 1] = y[blockIdx.x] + 1;
}

inline std::vector<int> chain(EmulatedContext& context) {
  std::vector<int> y(9, 0);
  launch(chain_kernel, 8, 32, 0, context, y.data());
  return y;
}

}  // namespace tessera::testing_support
