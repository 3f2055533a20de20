// Rows: one warp per row, four per block, lanes along the channels. Up to 256 channels a lane keeps its part of the row
// in registers, up to 1024 in more of them; longer rows are read again from the cache.
//   forward:  mean, then the squared deviations from it, then y: 8 bytes per element
//   dx:       the means of g and g * xh, then dx: 12 bytes per element
// dweight, dbias: sums over rows in chunks, see column_sums.h: 8 bytes per element.
// About ten operations per element: bandwidth is the limit. Sums of a row are trees over the warp.
#include "kernels/layer_norm.h"

#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kWarps = 4;

// This lane's values of a row: `held` of them in registers, or (0) read from memory every time.
template <int held>
struct LaneValues {
  float value[held];

  __device__ LaneValues(const float* row, int64_t channels) {
#pragma unroll
    for (int k = 0; k < held; ++k) {
      const int64_t c = 32 * k + lane_of_warp();
      value[k] = c < channels ? row[c] : 0.0f;
    }
  }
  template <typename Body>
  __device__ __forceinline__ void for_each(int64_t channels, Body&& body) const {
#pragma unroll
    for (int k = 0; k < held; ++k) {
      const int64_t c = 32 * k + lane_of_warp();
      if (c < channels) body(c, value[k]);
    }
  }
};

template <>
struct LaneValues<0> {
  const float* row;

  __device__ LaneValues(const float* row_, int64_t) : row(row_) {}
  template <typename Body>
  __device__ __forceinline__ void for_each(int64_t channels, Body&& body) const {
    for (int64_t c = lane_of_warp(); c < channels; c += 32) body(c, row[c]);
  }
};

template <int held>
__global__ void __launch_bounds__(32 * kWarps) normalise_rows(LayerNormForwardArgs args) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (row >= args.rows) return;
  const LaneValues<held> x(args.x + row * args.channels, args.channels);
  const float inverse = 1.0f / static_cast<float>(args.channels);
  float sum = 0.0f, squares = 0.0f;
  x.for_each(args.channels, [&](int64_t, float value) { sum += value; });
  const float mean = warp_sum(sum) * inverse;
  x.for_each(args.channels, [&](int64_t, float value) { squares += (value - mean) * (value - mean); });
  const float rstd = 1.0f / sqrtf(warp_sum(squares) * inverse + args.epsilon);
  float* y = args.y + row * args.channels;
  x.for_each(args.channels,
             [&](int64_t c, float value) { y[c] = (value - mean) * rstd * args.weight[c] + args.bias[c]; });
  if (lane_of_warp() != 0) return;
  args.mean[row] = mean;
  args.rstd[row] = rstd;
}

template <int held>
__global__ void __launch_bounds__(32 * kWarps) input_gradient(LayerNormBackwardArgs args) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (row >= args.rows) return;
  const LaneValues<held> gradient(args.dy + row * args.channels, args.channels);
  const float* x = args.x + row * args.channels;
  const float mean = args.mean[row], rstd = args.rstd[row], inverse = 1.0f / static_cast<float>(args.channels);
  float sum = 0.0f, product = 0.0f;
  gradient.for_each(args.channels, [&](int64_t c, float dy) {
    const float g = dy * args.weight[c];
    sum += g;
    product += g * ((x[c] - mean) * rstd);
  });
  const float level = warp_sum(sum) * inverse, slope = warp_sum(product) * inverse;
  float* dx = args.dx + row * args.channels;
  gradient.for_each(args.channels, [&](int64_t c, float dy) {
    dx[c] = rstd * (dy * args.weight[c] - level - (x[c] - mean) * rstd * slope);
  });
}

// dy * xh and dy of every row.
struct AffineTerms {
  LayerNormBackwardArgs args;
  __device__ void operator()(int64_t, int64_t row, int64_t c, float (&sums)[2]) const {
    const float dy = args.dy[row * args.channels + c];
    sums[0] += dy * ((args.x[row * args.channels + c] - args.mean[row]) * args.rstd[row]);
    sums[1] += dy;
  }
};

template <typename Args>
void launch_rows(DeviceContext& context, void (*short_rows)(Args), void (*rows)(Args), void (*long_rows)(Args),
                 const Args& args) {
  const auto kernel = args.channels <= 256 ? short_rows : args.channels <= 1024 ? rows : long_rows;
  launch(kernel, static_cast<unsigned>(ceil_div<int64_t>(args.rows, kWarps)), 32 * kWarps, 0, context, args);
}

}  // namespace

void layer_norm_forward(DeviceContext& context, const LayerNormForwardArgs& args) {
  launch_rows(context, normalise_rows<8>, normalise_rows<32>, normalise_rows<0>, args);
}

void layer_norm_backward(DeviceContext& context, const LayerNormBackwardArgs& args) {
  if (args.dweight != nullptr || args.dbias != nullptr) {  // first: dx may overwrite dy
    launch_column_sums<2>(context, AffineTerms{args}, {1, args.rows, args.channels}, {{args.dweight, args.dbias}});
  }
  if (args.dx != nullptr) launch_rows(context, input_gradient<8>, input_gradient<32>, input_gradient<0>, args);
}

}  // namespace tessera
