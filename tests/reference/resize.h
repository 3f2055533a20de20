// Double-precision oracles of bilinear and nearest resizing, pixel by pixel.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

struct ResizeCase {
  int64_t images, in_height, in_width, out_height, out_width, channels;
};

template <typename Sample>
std::vector<double> resize(const std::vector<double>& x, const ResizeCase& at, Sample sample) {
  std::vector<double> y;
  for (int64_t n = 0; n < at.images; ++n) {
    for (int64_t v = 0; v < at.out_height; ++v) {
      for (int64_t u = 0; u < at.out_width; ++u) {
        for (int64_t c = 0; c < at.channels; ++c) {
          const auto pixel = [&](int64_t row, int64_t column) {
            return x[static_cast<size_t>(((n * at.in_height + row) * at.in_width + column) * at.channels + c)];
          };
          y.push_back(sample(pixel, v, u));
        }
      }
    }
  }
  return y;
}

inline std::vector<double> resize_bilinear(const std::vector<double>& x, const ResizeCase& at) {
  return resize(x, at, [&](auto&& pixel, int64_t v, int64_t u) {
    const auto source = [](int64_t i, int64_t in, int64_t out) {
      const double position = (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
      return std::min(std::max(position, 0.0), static_cast<double>(in - 1));
    };
    const double row = source(v, at.in_height, at.out_height), column = source(u, at.in_width, at.out_width);
    double sum = 0;  // over all pixels, by the hat function: no table to share a mistake with
    for (int64_t i = 0; i < at.in_height; ++i) {
      for (int64_t j = 0; j < at.in_width; ++j) {
        sum += pixel(i, j) * std::max(0.0, 1 - std::abs(row - static_cast<double>(i))) *
               std::max(0.0, 1 - std::abs(column - static_cast<double>(j)));
      }
    }
    return sum;
  });
}

inline std::vector<double> resize_nearest(const std::vector<double>& x, const ResizeCase& at) {
  return resize(x, at, [&](auto&& pixel, int64_t v, int64_t u) {
    return pixel(v * at.in_height / at.out_height, u * at.in_width / at.out_width);
  });
}

}  // namespace tessera::reference
