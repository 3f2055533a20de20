// Version 2: both cosines are products with X, so their difference is one: bit = X . D > 0 with D = F/|F| - B/|B|. A
// pixel interpolates all channels and multiplies them with one vector: 5 C multiply-adds, no square root.
#pragma once

#include "kernels/lab/grid_binarize/pixels.h"

namespace tessera::grid_binarize_lab {
inline namespace TESSERA_PORT {

// One thread per cell.
static __global__ void __launch_bounds__(kThreads) separate_kernel(GridBinarizeArgs args, float* separators) {
  for_each_element(args.count * args.k * args.k, [&](int64_t cell) {
    const float* foreground = args.objects + cell * 2 * args.channels;
    const float* background = foreground + args.channels;
    double foreground_square = 0.0, background_square = 0.0;
    for (int64_t c = 0; c < args.channels; ++c) {
      foreground_square += double{foreground[c]} * foreground[c];
      background_square += double{background[c]} * background[c];
    }
    const double by_foreground = foreground_square > 0.0 ? 1.0 / sqrt(foreground_square) : 0.0;
    const double by_background = background_square > 0.0 ? 1.0 / sqrt(background_square) : 0.0;
    for (int64_t c = 0; c < args.channels; ++c) {
      separators[cell * args.channels + c] =
          static_cast<float>(foreground[c] * by_foreground) - static_cast<float>(background[c] * by_background);
    }
  });
}

// D of all cells, [count, k * k, channels].
inline void make_separators(DeviceContext& context, const GridBinarizeArgs& args, float* separators) {
  launch(separate_kernel, grid_for(args.count * args.k * args.k, kThreads), kThreads, 0, context, args, separators);
}

static __global__ void __launch_bounds__(kThreads) classifier_kernel(GridBinarizeArgs args, const float* separators) {
  write_mask(args, [&](const Pixel& pixel) {
    const float* separator = separators + pixel.cell * args.channels;
    float score = 0.0f;
    for (int64_t c = 0; c < args.channels; ++c) {
      score += separator[c] * pixel.interpolate([&](int64_t row, int64_t column) {
        return args.pixels[(row * args.width + column) * args.channels + c];
      });
    }
    return score > 0.0f;
  });
}

inline void binarize_by_classifier(DeviceContext& context, const GridBinarizeArgs& args) {
  Scratch<float> separators(context, static_cast<size_t>(args.count * args.k * args.k * args.channels));
  make_separators(context, args, separators.data());
  launch(classifier_kernel, mask_grid(args), kThreads, 0, context, args, separators.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::grid_binarize_lab
