// Grouped, strided convolution of NHWC maps with OHWI weights, and its gradients.
//   y = act(scale * conv(x, w) + bias + residual), per output channel, act = identity or ReLU
// Several maps can share one set of weights (the levels of a pyramid): the weights are laid out once, the work of all
// maps is one pool of tasks. A call may have several branches, each with maps and weights of its own (the same layer of
// the towers of a head): on a device all of them are one launch.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/context.h"
#include "kernels/conv_math.h"
#include "kernels/row_moments.h"

namespace tessera {

// Window and channels, common to all maps of a call.
struct Conv2dWindow {
  int64_t in_channels = 0, out_channels = 0;  // both divisible by groups
  int64_t height = 1, width = 1;              // of the window
  int64_t stride = 1, padding = 0;            // of both axes; padding with zeros
  int64_t groups = 1;

  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t taps() const { return height * width; }
  int64_t weight_elements() const { return out_channels * taps() * group_in(); }
};

// One map: where its rows of channels lie in the arrays of a call.
struct Conv2dMap {
  int64_t images = 0, height = 0, width = 0;  // input
  int64_t out_height = 0, out_width = 0;
  int64_t in_row = 0, out_row = 0;  // first row (of in_channels, out_channels floats)

  int64_t in_rows() const { return images * height * width; }
  int64_t out_rows() const { return images * out_height * out_width; }
};

struct Conv2dForwardArgs {
  Conv2dWindow window;
  std::span<const Conv2dMap> maps;
  const float* x;         // [*, in_channels]
  const float* weight;    // [out_channels, height, width, group_in]
  const float* scale;     // [out_channels] or null
  const float* bias;      // [out_channels] or null
  const float* residual;  // like y, or null
  float* y;               // [*, out_channels]
  bool relu;
  ConvMath math = ConvMath::fp32;
  // Statistics of y, for a group norm behind the convolution; the segments are the images of the maps, map after map.
  RowMoments moments = {};
};

// The parts of these segments.
inline MomentParts moment_parts(std::span<const Conv2dMap> maps) {
  MomentParts parts;
  for (const Conv2dMap& map : maps) {
    for (int64_t image = 0; image < map.images; ++image) parts.add_segment(map.out_height * map.out_width);
  }
  return parts;
}

// dx = transposed conv(scale * dy, w)
struct Conv2dBackwardDataArgs {
  Conv2dWindow window;
  std::span<const Conv2dMap> maps;
  const float* dy;
  const float* weight;
  const float* scale;  // or null
  float* dx;           // overwritten
  ConvMath math = ConvMath::fp32;
};

// dweight = scale * sum over maps and pixels of dy x
struct Conv2dBackwardWeightArgs {
  Conv2dWindow window;
  std::span<const Conv2dMap> maps;
  const float* x;
  const float* dy;
  const float* scale;              // or null
  float* dweight;                  // overwritten
  ConvMath math = ConvMath::fp32;  // fp16_accumulate_chunked is fp16 here
};

// dbias[c] = sum of dy[row][c]
struct ChannelSumArgs {
  const float* dy;  // [rows, channels]
  float* dbias;     // [channels]
  int64_t rows, channels;
};

// Args of the branches of a call, which agree in window, precision, ReLU and whether they want statistics. They may
// read the same x; what they write does not overlap.
template <typename Args>
using Conv2dBranches = std::span<const Args>;

TESSERA_KERNEL(conv2d_forward, Conv2dBranches<Conv2dForwardArgs>);
TESSERA_KERNEL(conv2d_backward_data, Conv2dBranches<Conv2dBackwardDataArgs>);
TESSERA_KERNEL(conv2d_backward_weight, Conv2dBranches<Conv2dBackwardWeightArgs>);
TESSERA_KERNEL(channel_sum, ChannelSumArgs);

// One branch; further arguments as the kernels take them (kernels/conv2d_choice.h).
template <typename Device, typename... More>
void conv2d_forward(Device& context, const Conv2dForwardArgs& args, const More&... more) {
  conv2d_forward(context, Conv2dBranches<Conv2dForwardArgs>(&args, 1), more...);
}
template <typename Device, typename... More>
void conv2d_backward_data(Device& context, const Conv2dBackwardDataArgs& args, const More&... more) {
  conv2d_backward_data(context, Conv2dBranches<Conv2dBackwardDataArgs>(&args, 1), more...);
}
template <typename Device, typename... More>
void conv2d_backward_weight(Device& context, const Conv2dBackwardWeightArgs& args, const More&... more) {
  conv2d_backward_weight(context, Conv2dBranches<Conv2dBackwardWeightArgs>(&args, 1), more...);
}

}  // namespace tessera
