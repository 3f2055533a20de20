// A block of 256 threads sums a chunk of 16384 elements in double: thread t the groups of four t, t + 256, ... of it,
// then a tree over the block. One more block adds the sums of the chunks in a fixed order. 4 bytes and one
// double-precision multiply-add per element; a GPU with 1/64 of its rate in double computes about as long as it reads.
#include "kernels/sum_of_squares.h"

#include "kernels/cuda/chunked_sum.h"

namespace tessera {

namespace {

constexpr int kSumOfSquaresThreads = 256;
constexpr int64_t kChunk = 16384;

__device__ __forceinline__ double square(float x) { return static_cast<double>(x) * x; }

template <bool vector>
__global__ void __launch_bounds__(kSumOfSquaresThreads) chunk_squares(const float* x, int64_t count, double* sums) {
  const int64_t begin = blockIdx.x * kChunk, end = begin + kChunk < count ? begin + kChunk : count;
  double sum = 0;
  for (int64_t i = begin + 4 * threadIdx.x; i < end; i += 4 * kSumOfSquaresThreads) {
    if (vector && i + 4 <= end) {
      const float4 v = load4(x + i);
      sum += (square(v.x) + square(v.y)) + (square(v.z) + square(v.w));
    } else {
      for (int64_t k = i; k < i + 4 && k < end; ++k) sum += square(x[k]);
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace

void sum_of_squares(DeviceContext& context, const SumOfSquaresArgs& args) {
  const int64_t chunks = ceil_div(args.count, kChunk);
  Scratch<double> sums(context, static_cast<size_t>(chunks) + 1);
  double* total = sums.data() + chunks;
  launch(aligned4(0, args.x) ? chunk_squares<true> : chunk_squares<false>, static_cast<unsigned>(chunks),
         kSumOfSquaresThreads, 0, context, args.x, args.count, sums.data());
  launch(add_sums<double>, 1, kSumThreads, 0, context, sums.data(), chunks, total);
  memory_to_host(context, args.sum, total, sizeof(double));
}

}  // namespace tessera
