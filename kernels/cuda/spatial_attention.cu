// Reductions: one warp per pixel, four per block, lanes along the channels; sums are trees over the warp, of equal
// maxima the first channel wins. The rest: lanes along the channels, see channel_rows.h.
//   pool forward    4 bytes per element, 12 per pixel         gate forward    8 bytes per element
//   pool backward   4 bytes per element, 12 per pixel         gate backward   dx 8 bytes, dlogits 8 (dy is shared: 12)
// Bandwidth is the limit of all.
#include "kernels/spatial_attention.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/logistic.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kWarps = 4;

unsigned warp_blocks(int64_t rows) { return static_cast<unsigned>(ceil_div<int64_t>(rows, kWarps)); }

__global__ void __launch_bounds__(32 * kWarps) pool_rows(SpatialPoolForwardArgs args) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (row >= args.rows) return;
  const float* x = args.x + row * args.channels;
  float largest = -INFINITY, sum = 0.0f;
  int32_t winner = std::numeric_limits<int32_t>::max();
  for (int64_t c = lane_of_warp(); c < args.channels; c += 32) {
    const float value = x[c];
    sum += value;
    winner = value > largest || c < 32 ? static_cast<int32_t>(c) : winner;
    largest = value > largest || c < 32 ? value : largest;
  }
  const float of_warp = warp_max(largest);
  winner = warp_min(largest == of_warp ? winner : std::numeric_limits<int32_t>::max());
  sum = warp_sum(sum);
  if (lane_of_warp() != 0) return;
  const int32_t last = static_cast<int32_t>(args.channels) - 1;  // when what is compared is not a number
  args.winners[row] = winner < last ? winner : last;
  args.y[2 * row] = of_warp;
  args.y[2 * row + 1] = sum / static_cast<float>(args.channels);
}

__global__ void __launch_bounds__(kRowThreads) pool_gradient(SpatialPoolBackwardArgs args) {
  for_each_row_vector(args.rows, args.channels, [&](int64_t row, int64_t c) {
    const float mean = args.dy[2 * row + 1] / static_cast<float>(args.channels);
    args.dx[row * args.channels + c] = args.winners[row] == c ? mean + args.dy[2 * row] : mean;
  });
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) gate_rows(SpatialGateForwardArgs args) {
  using Vector = Channels<width>;
  for_each_row_vector(args.rows, args.channels / width, [&](int64_t row, int64_t v) {
    const float gate = logistic(args.logits[row]);
    const int64_t at = row * args.channels + v * width;
    Vector::map([&](float x) { return gate * x; }, Vector::load(args.x + at)).store(args.y + at);
  });
}

__global__ void __launch_bounds__(32 * kWarps) gate_gradients(SpatialGateBackwardArgs args) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (row >= args.rows) return;
  const float gate = logistic(args.logits[row]);
  const float *x = args.x + row * args.channels, *dy = args.dy + row * args.channels;
  float* dx = args.dx == nullptr ? nullptr : args.dx + row * args.channels;
  float sum = 0.0f;
#pragma unroll 4
  for (int64_t c = lane_of_warp(); c < args.channels; c += 32) {
    const float gradient = dy[c];
    if (args.dlogits != nullptr) sum += gradient * x[c];
    if (dx != nullptr) dx[c] = gate * gradient;
  }
  if (args.dlogits == nullptr) return;
  sum = warp_sum(sum);
  if (lane_of_warp() == 0) args.dlogits[row] = sum * gate * (1.0f - gate);
}

}  // namespace

void spatial_pool_forward(DeviceContext& context, const SpatialPoolForwardArgs& args) {
  launch(pool_rows, warp_blocks(args.rows), 32 * kWarps, 0, context, args);
}

void spatial_pool_backward(DeviceContext& context, const SpatialPoolBackwardArgs& args) {
  const dim3 block = row_block(args.channels);
  launch(pool_gradient, row_grid(args.rows, block), block, 0, context, args);
}

void spatial_gate_forward(DeviceContext& context, const SpatialGateForwardArgs& args) {
  const bool vector = aligned4(args.channels, args.x, args.y);
  const dim3 block = row_block(vector ? args.channels / 4 : args.channels);
  launch(vector ? gate_rows<4> : gate_rows<1>, row_grid(args.rows, block), block, 0, context, args);
}

void spatial_gate_backward(DeviceContext& context, const SpatialGateBackwardArgs& args) {
  launch(gate_gradients, warp_blocks(args.rows), 32 * kWarps, 0, context, args);
}

}  // namespace tessera
