// Version 1: the definition. Every pixel interpolates all channels of the map and compares two cosines: 4 C
// multiply-adds for the interpolation, 3 C for the products and two square roots.
#pragma once

#include "kernels/lab/grid_binarize/pixels.h"

namespace tessera::grid_binarize_lab {
inline namespace TESSERA_PORT {

static __global__ void __launch_bounds__(kThreads) definition_kernel(GridBinarizeArgs args) {
  write_mask(args, [&](const Pixel& pixel) {
    const float* foreground = args.objects + pixel.cell * 2 * args.channels;
    const float* background = foreground + args.channels;
    float to_foreground = 0.0f, to_background = 0.0f, foreground_square = 0.0f, background_square = 0.0f;
    for (int64_t c = 0; c < args.channels; ++c) {
      const float value = pixel.interpolate(
          [&](int64_t row, int64_t column) { return args.pixels[(row * args.width + column) * args.channels + c]; });
      to_foreground += value * foreground[c];
      to_background += value * background[c];
      foreground_square += foreground[c] * foreground[c];
      background_square += background[c] * background[c];
    }
    // The length of X is on both sides.
    const auto cosine = [](float product, float square) { return square > 0.0f ? product / sqrtf(square) : 0.0f; };
    return cosine(to_foreground, foreground_square) > cosine(to_background, background_square);
  });
}

inline void binarize_by_definition(DeviceContext& context, const GridBinarizeArgs& args) {
  launch(definition_kernel, mask_grid(args), kThreads, 0, context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera::grid_binarize_lab
