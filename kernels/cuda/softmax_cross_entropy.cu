// One warp per row, four per block, lanes along the classes. With m the greatest logit, at its first place w, and
// rest = sum over k != w of e^(z_k - m), the divisor is 1 + rest and the loss log1p(rest) + m - z_label: the tail of a
// sure row keeps its precision. Sums of a row are trees over the warp; losses of rows are added in double, in order.
// 4 bytes per logit read, 4 written (the row is read three times, twice from the cache), two exponentials: bandwidth is
// the limit for long rows, the launch for the few thousand rows of a detector.
#include "kernels/softmax_cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/loss_sum.h"

namespace tessera {

namespace {

constexpr int kWarps = 4;

unsigned warp_blocks(int64_t rows) { return static_cast<unsigned>(ceil_div<int64_t>(rows, kWarps)); }

struct Divisor {
  float greatest, rest;  // of every lane
};

// For a whole warp.
__device__ __forceinline__ Divisor find_divisor(const float* logits, int64_t classes) {
  constexpr int64_t kNowhere = std::numeric_limits<int64_t>::max();
  float greatest = -INFINITY;
  for (int64_t k = lane_of_warp(); k < classes; k += 32) greatest = logits[k] > greatest ? logits[k] : greatest;
  greatest = warp_max(greatest);
  int64_t winner = kNowhere;
  for (int64_t k = lane_of_warp(); k < classes && winner == kNowhere; k += 32) {
    if (logits[k] == greatest) winner = k;
  }
  winner = warp_min(winner);
  float rest = 0.0f;
  for (int64_t k = lane_of_warp(); k < classes; k += 32) rest += k == winner ? 0.0f : expf(logits[k] - greatest);
  return {greatest, warp_sum(rest)};
}

__global__ void __launch_bounds__(32 * kWarps) cross_entropy_rows(SoftmaxCrossEntropyArgs args, double* losses) {
  SHARED(of_rows, double[kWarps]);
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  double loss = 0.0;
  if (row < args.rows) {  // whole warps
    const int32_t label = args.labels[row];
    const float* logits = args.logits + row * args.classes;
    float* gradient = args.gradient == nullptr ? nullptr : args.gradient + row * args.classes;
    const Divisor divisor = find_divisor(logits, args.classes);
    const bool exists = label < args.classes;
    if (label >= 0) {
      loss = exists ? static_cast<double>(log1pf(divisor.rest)) +
                          (static_cast<double>(divisor.greatest) - static_cast<double>(logits[label]))
                    : static_cast<double>(NAN);
    }
    if (gradient != nullptr) {
      const float inverse = args.scale / (1.0f + divisor.rest);
      for (int64_t k = lane_of_warp(); k < args.classes; k += 32) {
        const float term = expf(logits[k] - divisor.greatest);  // at w exactly 1
        const float slope = (k == label ? (term - 1.0f) - divisor.rest : term) * inverse;
        gradient[k] = label < 0 ? 0.0f : exists ? slope : NAN;
      }
    }
  }
  if (lane_of_warp() == 0) of_rows[warp_of_block()] = loss;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kWarps; ++warp) loss += of_rows[warp];
  losses[blockIdx.x] = loss;
}

__global__ void __launch_bounds__(32 * kWarps) softmax_rows(SoftmaxArgs args) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (row >= args.rows) return;
  const float* logits = args.logits + row * args.classes;
  const Divisor divisor = find_divisor(logits, args.classes);
  const float inverse = 1.0f / (1.0f + divisor.rest);
  for (int64_t k = lane_of_warp(); k < args.kept; k += 32) {
    args.probabilities[row * args.kept + k] = expf(logits[k] - divisor.greatest) * inverse;
  }
}

}  // namespace

void softmax_cross_entropy(DeviceContext& context, const SoftmaxCrossEntropyArgs& args) {
  const unsigned blocks = warp_blocks(args.rows);
  Scratch<double> losses(context, blocks);
  launch(cross_entropy_rows, blocks, 32 * kWarps, 0, context, args, losses.data());
  sum_loss(context, losses.data(), blocks, args.scale, args.loss);
}

void softmax(DeviceContext& context, const SoftmaxArgs& args) {
  launch(softmax_rows, warp_blocks(args.rows), 32 * kWarps, 0, context, args);
}

}  // namespace tessera
