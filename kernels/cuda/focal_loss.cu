// A block of 256 threads owns 2048 consecutive logits, whatever the row length; a thread takes two groups of four that
// are 1024 apart, so a warp reads and writes 512 consecutive bytes. The first row of the block costs one 64-bit
// division, the rows of its elements 32-bit ones. Sums: 8 terms in float per thread, then double.
// Per logit 4 bytes read and 4 written (labels: 4 / classes), about 40 operations, among them one exponential, one
// logarithm and one reciprocal: bandwidth is the limit. Other gammas than 2 take a second exponential.
#include "kernels/focal_loss.h"

#include "kernels/cuda/loss_sum.h"

namespace tessera {

namespace {

constexpr int kFocalLossThreads = 256, kVectors = 2, kChunk = kFocalLossThreads * kVectors * 4;

// The term of one logit and its derivative. With u = logit for the wrong classes and -logit for the right one, a term
// is w s^gamma softplus(u), s = sigmoid(u); d/du = w s^gamma (gamma (1 - s) softplus(u) + s).
template <bool square>
__device__ __forceinline__ float focal_term(const FocalLossArgs& args, float logit, int64_t category, int32_t label,
                                            float& gradient) {
  const bool right = category == label;
  const float sign = right ? -1.0f : 1.0f, weight = right ? args.alpha : 1.0f - args.alpha;
  const float u = sign * logit;
  const float small = expf(-fabsf(u)), upper = 1.0f / (1.0f + small);
  const float s = u < 0.0f ? small * upper : upper;
  const float softplus = (u < 0.0f ? 0.0f : u) + log1pf(small);
  // ln s = u - softplus(u)
  const float modulation = weight * (square ? s * s : expf(args.gamma * (u - softplus)));
  gradient = args.scale * sign * modulation * (args.gamma * (1.0f - s) * softplus + s);
  return modulation * softplus;
}

template <bool square, bool vector>
__global__ void __launch_bounds__(kFocalLossThreads) focal_loss_kernel(FocalLossArgs args, double* partial) {
  const int64_t begin = int64_t{blockIdx.x} * kChunk, count = args.rows * args.classes;
  const int64_t first_row = begin / args.classes;
  // Classes left in the first row are counted from here: at most kChunk more than a row, which fits 32 bits unless the
  // row itself does not.
  const int64_t first_class = begin - first_row * args.classes;
  const bool small = args.classes < (int64_t{1} << 30);
  float sum = 0.0f;
  const auto element = [&](int64_t at, float logit, float& gradient) {
    const int64_t along = first_class + (at - begin);
    const int64_t row_step =
        small ? static_cast<uint32_t>(along) / static_cast<uint32_t>(args.classes) : along / args.classes;
    const int32_t label = args.labels[first_row + row_step];
    gradient = 0.0f;
    if (label >= 0) sum += focal_term<square>(args, logit, along - row_step * args.classes, label, gradient);
  };
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int64_t at = begin + 4 * (int64_t{i} * kFocalLossThreads + threadIdx.x);
    if (vector && at + 4 <= count) {
      const float4 logits = load4(args.logits + at);
      float4 gradient;
      element(at, logits.x, gradient.x);
      element(at + 1, logits.y, gradient.y);
      element(at + 2, logits.z, gradient.z);
      element(at + 3, logits.w, gradient.w);
      if (args.gradient != nullptr) store4(args.gradient + at, gradient);
    } else {
      for (int64_t single = at; single < at + 4 && single < count; ++single) {
        float gradient;
        element(single, args.logits[single], gradient);
        if (args.gradient != nullptr) args.gradient[single] = gradient;
      }
    }
  }
  const double block = block_sum(static_cast<double>(sum));
  if (threadIdx.x == 0) partial[blockIdx.x] = block;
}

}  // namespace

void focal_loss(DeviceContext& context, const FocalLossArgs& args) {
  const int64_t blocks = ceil_div<int64_t>(args.rows * args.classes, kChunk);
  Scratch<double> partial(context, static_cast<size_t>(blocks));
  const bool vector = aligned4(0, args.logits, args.gradient), square = args.gamma == 2.0f;
  const auto kernel = square ? (vector ? focal_loss_kernel<true, true> : focal_loss_kernel<true, false>)
                             : (vector ? focal_loss_kernel<false, true> : focal_loss_kernel<false, false>);
  launch(kernel, static_cast<unsigned>(blocks), kFocalLossThreads, 0, context, args, partial.data());
  sum_loss(context, partial.data(), blocks, args.scale, args.loss);
}

}  // namespace tessera
