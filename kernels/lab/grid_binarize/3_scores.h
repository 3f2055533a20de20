// Version 3: interpolation and product are both linear and change places. The map is scored first, C multiply-adds per
// map pixel and cell, and a pixel interpolates one scalar: 3 multiply-adds. The scores of the whole map are kept for
// every cell, whether its pixels read them or not, and a pixel still finds its place in double and reads four scores
// from memory: what kernels/cuda/grid_binarize.cu does away with.
#pragma once

#include "kernels/lab/grid_binarize/2_classifier.h"

namespace tessera::grid_binarize_lab {
inline namespace TESSERA_PORT {

// scores [count, k * k, height, width], one thread each.
static __global__ void __launch_bounds__(kThreads)
    score_kernel(GridBinarizeArgs args, const float* separators, float* scores) {
  const int64_t map = args.height * args.width;
  for_each_element(args.count * args.k * args.k * map, [&](int64_t i) {
    const float* separator = separators + i / map * args.channels;
    const float* pixel = args.pixels + i % map * args.channels;
    float score = 0.0f;
    for (int64_t c = 0; c < args.channels; ++c) score += separator[c] * pixel[c];
    scores[i] = score;
  });
}

static __global__ void __launch_bounds__(kThreads) interpolate_kernel(GridBinarizeArgs args, const float* scores) {
  write_mask(args, [&](const Pixel& pixel) {
    const float* map = scores + pixel.cell * args.height * args.width;
    return pixel.interpolate([&](int64_t row, int64_t column) { return map[row * args.width + column]; }) > 0.0f;
  });
}

inline void binarize_by_scores(DeviceContext& context, const GridBinarizeArgs& args) {
  const int64_t cells = args.count * args.k * args.k, map = args.height * args.width;
  Scratch<float> separators(context, static_cast<size_t>(cells * args.channels));
  Scratch<float> scores(context, static_cast<size_t>(cells * map));
  make_separators(context, args, separators.data());
  launch(score_kernel, grid_for(cells * map, kThreads), kThreads, 0, context, args, separators.data(), scores.data());
  launch(interpolate_kernel, mask_grid(args), kThreads, 0, context, args, scores.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::grid_binarize_lab
