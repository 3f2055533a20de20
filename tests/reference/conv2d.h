// Double-precision oracle of the grouped, strided convolution of NHWC maps with OHWI weights.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::reference {

struct ConvolutionCase {
  int64_t images, height, width, in, out, window_height, window_width, stride, padding, groups;

  int64_t out_height() const { return extent(height, window_height); }
  int64_t out_width() const { return extent(width, window_width); }

 private:
  int64_t extent(int64_t size, int64_t window) const {
    return size + 2 * padding < window ? 0 : (size + 2 * padding - window) / stride + 1;
  }
};

// Calls visit(output, input, weight) with the positions of every product of the convolution.
template <typename Visit>
void for_each_product(const ConvolutionCase& at, Visit&& visit) {
  const int64_t group_in = at.in / at.groups, group_out = at.out / at.groups;
  int64_t output = 0;
  for (int64_t n = 0; n < at.images; ++n) {
    for (int64_t oy = 0; oy < at.out_height(); ++oy) {
      for (int64_t ox = 0; ox < at.out_width(); ++ox) {
        for (int64_t o = 0; o < at.out; ++o, ++output) {
          for (int64_t v = 0; v < at.window_height; ++v) {
            for (int64_t u = 0; u < at.window_width; ++u) {
              const int64_t iy = oy * at.stride + v - at.padding, ix = ox * at.stride + u - at.padding;
              if (iy < 0 || iy >= at.height || ix < 0 || ix >= at.width) continue;
              const int64_t cell = ((n * at.height + iy) * at.width + ix) * at.in + o / group_out * group_in;
              const int64_t tap = ((o * at.window_height + v) * at.window_width + u) * group_in;
              for (int64_t c = 0; c < group_in; ++c) {
                visit(static_cast<size_t>(output), static_cast<size_t>(cell + c), static_cast<size_t>(tap + c));
              }
            }
          }
        }
      }
    }
  }
}

inline std::vector<double> conv2d(const ConvolutionCase& at, const std::vector<double>& x,
                                  const std::vector<double>& weight) {
  std::vector<double> y(static_cast<size_t>(at.images * at.out_height() * at.out_width() * at.out));
  for_each_product(at, [&](size_t o, size_t i, size_t w) { y[o] += x[i] * weight[w]; });
  return y;
}

inline std::vector<double> conv2d_data_gradient(const ConvolutionCase& at, const std::vector<double>& dy,
                                                const std::vector<double>& weight) {
  std::vector<double> dx(static_cast<size_t>(at.images * at.height * at.width * at.in));
  for_each_product(at, [&](size_t o, size_t i, size_t w) { dx[i] += dy[o] * weight[w]; });
  return dx;
}

inline std::vector<double> conv2d_weight_gradient(const ConvolutionCase& at, const std::vector<double>& x,
                                                  const std::vector<double>& dy) {
  std::vector<double> dweight(static_cast<size_t>(at.out * at.window_height * at.window_width * (at.in / at.groups)));
  for_each_product(at, [&](size_t o, size_t i, size_t w) { dweight[w] += dy[o] * x[i]; });
  return dweight;
}

}  // namespace tessera::reference
