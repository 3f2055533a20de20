// One thread per element, 4 elements a thread at distances of a block, so that a warp reads 128 consecutive bytes.
// Written so that nothing cancels: with e = exp(-|z|),
//   z >= 0:  (1 - t) z + ln(1 + e),   gradient ((1 - t) - t e) / (1 + e)
//   z < 0:   -t z + ln(1 + e),        gradient ((1 - t) e - t) / (1 + e)
// 8 bytes read and 4 written per element; counts are those of positive locations, so the launch is the cost.
#include "kernels/binary_cross_entropy.h"

#include "kernels/cuda/loss_sum.h"

namespace tessera {

namespace {

constexpr int kBinaryCrossEntropyThreads = 256, kPerThread = 4, kChunk = kBinaryCrossEntropyThreads * kPerThread;

__global__ void __launch_bounds__(kBinaryCrossEntropyThreads)
    binary_cross_entropy_kernel(BinaryCrossEntropyArgs args, double* partial) {
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t at = int64_t{blockIdx.x} * kChunk + i * kBinaryCrossEntropyThreads + threadIdx.x;
    if (at >= args.count) continue;
    const float z = args.logits[at], on = args.targets[at], off = 1.0f - on;
    const float e = expf(-fabsf(z));
    sum += (z < 0.0f ? -on * z : off * z) + log1pf(e);
    if (args.gradient == nullptr) continue;
    args.gradient[at] = args.scale * (z < 0.0f ? off * e - on : off - on * e) / (1.0f + e);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

}  // namespace

void binary_cross_entropy(DeviceContext& context, const BinaryCrossEntropyArgs& args) {
  const int64_t blocks = ceil_div<int64_t>(args.count, kChunk);
  Scratch<double> partial(context, static_cast<size_t>(blocks));
  launch(binary_cross_entropy_kernel, static_cast<unsigned>(blocks), kBinaryCrossEntropyThreads, 0, context, args,
         partial.data());
  sum_loss(context, partial.data(), blocks, args.scale, args.loss);
}

}  // namespace tessera
