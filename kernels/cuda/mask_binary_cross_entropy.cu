// Chunks of masks as in mask_pixels.h: one kernel sums the loss of its chunk, a thread's sixteen terms in float and the
// rest in double, and writes the gradients; one block adds the chunks. 8 bytes per logit, an exponential and a
// logarithm: bandwidth is the limit.
#include "kernels/mask_binary_cross_entropy.h"

#include "kernels/cuda/chunked_sum.h"
#include "kernels/cuda/logistic.h"
#include "kernels/cuda/mask_pixels.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

__global__ void __launch_bounds__(kMaskThreads) chunk_losses(MaskBinaryCrossEntropyArgs args, double* partial) {
  float sum = 0.0f;
  for_each_mask_pixel(args.targets, args.index, args.pixels, [&](int64_t i, float q) {
    const float z = args.logits[i];
    const float softplus = (z < 0.0f ? 0.0f : z) + log1pf(expf(-fabsf(z)));
    sum += softplus - q * z;
    if (args.gradient != nullptr) args.gradient[i] = (logistic(z) - q) * args.scale;
  });
  const double total = block_sum(static_cast<double>(sum));
  if (threadIdx.x == 0) partial[blockIdx.x] = total * args.scale;
}

}  // namespace

void mask_binary_cross_entropy(DeviceContext& context, const MaskBinaryCrossEntropyArgs& args) {
  const int64_t blocks = args.masks * mask_chunks(args.pixels);
  Scratch<double> partial(context, static_cast<size_t>(blocks));
  launch(chunk_losses, static_cast<unsigned>(blocks), kMaskThreads, 0, context, args, partial.data());
  launch(add_sums<float>, 1, kSumThreads, 0, context, partial.data(), blocks, args.loss);
}

}  // namespace tessera
