// Double-precision oracle: 3x3 neighbourhoods of cells of a pyramid.
#pragma once

#include <vector>

#include "engine/core/pyramid.h"

namespace tessera::reference {

inline std::vector<double> patch_gather(const std::vector<double>& x, const PyramidGeometry& geometry, int64_t channels,
                                        const std::vector<int32_t>& rows) {
  std::vector<double> patches;
  for (const int32_t row : rows) {
    for (int64_t l = 0; l < geometry.level_count(); ++l) {
      const PyramidLevel& level = geometry.level(l);
      for (int64_t image = 0; image < geometry.images(); ++image) {
        for (int64_t y = 0; y < level.height; ++y) {
          for (int64_t column = 0; column < level.width; ++column) {
            if (geometry.row(l, image, y, column) != row) continue;
            for (int64_t v = y - 1; v <= y + 1; ++v) {
              for (int64_t u = column - 1; u <= column + 1; ++u) {
                const bool inside = v >= 0 && v < level.height && u >= 0 && u < level.width;
                for (int64_t c = 0; c < channels; ++c) {
                  patches.push_back(inside ? x[static_cast<size_t>(geometry.row(l, image, v, u) * channels + c)] : 0.0);
                }
              }
            }
          }
        }
      }
    }
  }
  return patches;
}

}  // namespace tessera::reference
