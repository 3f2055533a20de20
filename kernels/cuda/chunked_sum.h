// The sum of term(i) over i in [0, count) as one number, in a fixed order: the gradient of a scalar parameter.
#pragma once

#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kSumThreads = 256;
inline constexpr int64_t kSumChunk = 8192;

// Block b sums chunk b: thread t the terms t, t + 256, ... of it in float, 32 at most, then the block in double.
template <typename Term>
__global__ void __launch_bounds__(kSumThreads) sum_chunks(Term term, int64_t count, double* sums) {
  const int64_t begin = blockIdx.x * kSumChunk, end = begin + kSumChunk < count ? begin + kSumChunk : count;
  float own = 0.0f;
  for (int64_t i = begin + threadIdx.x; i < end; i += kSumThreads) own += term(i);
  const double sum = block_sum(static_cast<double>(own));
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <typename Total>
__global__ void __launch_bounds__(kSumThreads) add_sums(const double* sums, int64_t count, Total* total) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total = static_cast<Total>(sum);
}

// Term: an object with `__device__ float operator()(int64_t) const`, copied to the device. total: device memory.
template <typename Term>
void launch_sum(LaunchSite site, Term term, int64_t count, float* total) {
  const int64_t chunks = ceil_div(count, kSumChunk);
  Scratch<double> sums(site.context, static_cast<size_t>(chunks));
  launch(sum_chunks<Term>, static_cast<unsigned>(chunks), kSumThreads, 0, site, term, count, sums.data());
  launch(add_sums<float>, 1, kSumThreads, 0, site, sums.data(), chunks, total);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
