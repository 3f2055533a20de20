// Oracle of point suppression on a grid.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

// scores [H, W, K]: a score stays where none above, on the left, or above on the left of it exceeds it.
inline std::vector<float> point_nms(const std::vector<float>& scores, int64_t height, int64_t width, int64_t classes) {
  std::vector<float> kept;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t k = 0; k < classes; ++k) {
        const auto at = [&](int64_t i, int64_t j) {
          return i < 0 || j < 0 ? -INFINITY : scores[static_cast<size_t>((i * width + j) * classes + k)];
        };
        const float score = at(y, x), best = std::max({at(y - 1, x - 1), at(y - 1, x), at(y, x - 1)});
        kept.push_back(score >= best ? score : 0.0f);
      }
    }
  }
  return kept;
}

}  // namespace tessera::reference
