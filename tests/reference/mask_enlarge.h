// Oracle of enlarged masks: the two resizes one after the other on whole maps, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

struct Plane {
  int64_t height = 0, width = 0;
  std::vector<double> values;

  double at(int64_t y, int64_t x) const { return values[static_cast<size_t>(y * width + x)]; }
};

inline Plane resize_plane(const Plane& in, int64_t height, int64_t width) {
  Plane out{height, width, {}};
  const auto source = [](int64_t i, int64_t from, int64_t to) {
    const double s = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    return std::min(std::max(s, 0.0), static_cast<double>(from - 1));
  };
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const double sy = source(y, in.height, height), sx = source(x, in.width, width);
      const auto y0 = static_cast<int64_t>(sy), x0 = static_cast<int64_t>(sx);
      const int64_t y1 = std::min(y0 + 1, in.height - 1), x1 = std::min(x0 + 1, in.width - 1);
      const double fy = sy - static_cast<double>(y0), fx = sx - static_cast<double>(x0);
      out.values.push_back((1 - fy) * ((1 - fx) * in.at(y0, x0) + fx * in.at(y0, x1)) +
                           fy * ((1 - fx) * in.at(y1, x0) + fx * in.at(y1, x1)));
    }
  }
  return out;
}

// Probabilities at the original size.
inline Plane mask_enlarge(const Plane& logits, int64_t stride, int64_t cut_height, int64_t cut_width, int64_t height,
                          int64_t width) {
  Plane probabilities = logits;
  for (double& value : probabilities.values) value = 1 / (1 + std::exp(-value));
  const Plane large = resize_plane(probabilities, stride * logits.height, stride * logits.width);
  Plane cut{cut_height, cut_width, {}};
  for (int64_t y = 0; y < cut_height; ++y) {
    for (int64_t x = 0; x < cut_width; ++x) cut.values.push_back(large.at(y, x));
  }
  return resize_plane(cut, height, width);
}

}  // namespace tessera::reference
