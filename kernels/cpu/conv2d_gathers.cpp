#include "kernels/cpu/conv2d_gathers.h"

namespace tessera {

GatheredProduct gather_of(const Conv2dForwardArgs& args) {
  const Conv2dWindow& window = args.window;
  GatheredProduct product{window.groups, window.group_in(), window.group_out(), {},       {}, args.x,
                          args.y,        args.bias,         args.residual,      args.relu};
  for (int64_t v = 0; v < window.height; ++v) {
    for (int64_t u = 0; u < window.width; ++u) product.taps.push_back({v - window.padding, u - window.padding});
  }
  // Statistics are those of an image: then it is a grid of its own.
  const bool by_image = args.moments.rows != nullptr;
  const MomentParts parts = moment_parts(args.maps);
  product.moments = args.moments;
  int64_t segment = 0;
  for (const Conv2dMap& map : args.maps) {
    for (int64_t image = 0; image < (by_image ? map.images : 1); ++image, ++segment) {
      const int64_t in_row = map.in_row + image * map.height * map.width;
      const int64_t out_row = map.out_row + image * map.out_height * map.out_width;
      product.grids.push_back({by_image ? 1 : map.images, map.out_height, map.out_width,  //
                               out_row, map.out_height, map.out_width, 0, 0, 1,           //
                               in_row, map.height, map.width, window.stride, 0, window.taps(),
                               by_image ? parts.begin(segment) : 0});
    }
  }
  return product;
}

GatheredProduct gather_of(const Conv2dBackwardDataArgs& args, std::vector<int64_t>& window_taps) {
  const Conv2dWindow& window = args.window;
  GatheredProduct product{window.groups, window.group_out(), window.group_in(), {}, {}, args.dy, args.dx};
  window_taps.clear();
  for (int64_t y = 0; y < window.stride; ++y) {
    for (int64_t x = 0; x < window.stride; ++x) {
      const auto tap_begin = static_cast<int64_t>(product.taps.size());
      // From the last tap of the window to the first, so that neighbours follow each other in the map.
      for (int64_t v = window.height - 1; v >= 0; --v) {
        if ((y + window.padding - v) % window.stride != 0) continue;
        for (int64_t u = window.width - 1; u >= 0; --u) {
          if ((x + window.padding - u) % window.stride != 0) continue;
          product.taps.push_back({(y + window.padding - v) / window.stride, (x + window.padding - u) / window.stride});
          window_taps.push_back(v * window.width + u);
        }
      }
      const int64_t tap_count = static_cast<int64_t>(product.taps.size()) - tap_begin;
      for (const Conv2dMap& map : args.maps) {
        if (y >= map.height || x >= map.width) continue;
        product.grids.push_back({map.images, (map.height - y + window.stride - 1) / window.stride,
                                 (map.width - x + window.stride - 1) / window.stride,     //
                                 map.in_row, map.height, map.width, y, x, window.stride,  //
                                 map.out_row, map.out_height, map.out_width, 1, tap_begin, tap_count});
      }
    }
  }
  return product;
}

}  // namespace tessera
