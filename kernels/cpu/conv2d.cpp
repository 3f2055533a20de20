#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/cpu/bf16_conv2d.h"
#include "kernels/cpu/direct_conv2d.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd.h"

namespace tessera {

namespace {

bool winograd_applies(const Conv2dWindow& window) {
  return window.height == 3 && window.width == 3 && window.stride == 1 && window.groups == 1 && window.padding <= 2;
}

std::vector<WinogradMap> winograd_maps(std::span<const Conv2dMap> maps) {
  std::vector<WinogradMap> result;
  for (const Conv2dMap& map : maps) {
    result.push_back({map.images, map.height, map.width, map.in_row, map.out_height, map.out_width, map.out_row});
  }
  return result;
}

void run_branch(CpuContext& context, const Conv2dForwardArgs& args) {
  const Conv2dWindow& window = args.window;
  // Every path below fills in the parts that it uses.
  if (args.moments.rows != nullptr) std::fill_n(args.moments.rows, moment_parts(args.maps).count(), 0);
  if (bf16_applies(args.math, window.group_in())) return bf16_conv2d_forward(context, args);
  if (winograd_applies(window)) {
    const WinogradProduct product{
        window.in_channels, window.out_channels, window.padding, winograd_maps(args.maps), args.x, args.y, args.bias,
        args.residual,      args.relu,           args.moments};
    if (winograd_pays(product)) {
      const int64_t depth = window.taps() * window.in_channels;
      run_winograd(context, product, {args.weight, depth, window.in_channels, 1, false, args.scale, nullptr});
      return;
    }
  }
  direct_conv2d_forward(context, args);
}

// With stride 1 a convolution of dy with the window turned by half a revolution, the channels' roles exchanged.
void run_branch(CpuContext& context, const Conv2dBackwardDataArgs& args) {
  const Conv2dWindow& window = args.window;
  if (bf16_applies(args.math, window.group_out())) return bf16_conv2d_backward_data(context, args);
  if (winograd_applies(window)) {
    WinogradProduct product{window.out_channels, window.in_channels, 2 - window.padding, {}, args.dy, args.dx};
    for (const Conv2dMap& map : args.maps) {
      product.maps.push_back(
          {map.images, map.out_height, map.out_width, map.out_row, map.height, map.width, map.in_row});
    }
    if (winograd_pays(product)) {
      const int64_t depth = window.taps() * window.in_channels;
      run_winograd(context, product, {args.weight, 1, window.in_channels, depth, true, nullptr, args.scale});
      return;
    }
  }
  direct_conv2d_backward_data(context, args);
}

void run_branch(CpuContext& context, const Conv2dBackwardWeightArgs& args) {
  const Conv2dWindow& window = args.window;
  if (bf16_applies(args.math, window.group_in())) return bf16_conv2d_backward_weight(context, args);
  if (winograd_applies(window)) {
    const WinogradGradient gradient{
        window.in_channels, window.out_channels, window.padding, winograd_maps(args.maps), args.x, args.dy,
        args.scale,         args.dweight};
    if (winograd_pays(gradient)) {
      run_winograd(context, gradient);
      return;
    }
  }
  direct_conv2d_backward_weight(context, args);
}

}  // namespace

// A branch has work for all threads.
void conv2d_forward(CpuContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches) {
  for (const auto& args : branches) run_branch(context, args);
}
void conv2d_backward_data(CpuContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches) {
  for (const auto& args : branches) run_branch(context, args);
}
void conv2d_backward_weight(CpuContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches) {
  for (const auto& args : branches) run_branch(context, args);
}

// Partial sums of fixed ranges of rows, added in order.
void channel_sum(CpuContext& context, const ChannelSumArgs& args) {
  constexpr int64_t kChunk = 1024;
  const int64_t chunks = (args.rows + kChunk - 1) / kChunk, channels = args.channels;
  Scratch<float> partial(context, static_cast<size_t>(chunks * channels));
  parallel_chunks(context, args.rows, kChunk, [&](int64_t chunk, int64_t begin, int64_t end) {
    float* sum = partial.data() + chunk * channels;
    std::fill_n(sum, channels, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const float* dy = args.dy + row * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) sum[c] += dy[c];
    }
  });
  std::fill_n(args.dbias, channels, 0.0f);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int64_t c = 0; c < channels; ++c) args.dbias[c] += partial[static_cast<size_t>(chunk * channels + c)];
  }
}

}  // namespace tessera
