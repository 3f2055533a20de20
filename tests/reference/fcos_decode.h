// Double-precision oracles of boxes from distances, and of their way back to the original picture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace tessera::reference {

using BoxSides = std::array<double, 4>;  // x1, y1, x2, y2, or left, top, right, bottom

// The middle of cell (y, x) of a map: of the cell, or as torchvision's anchors stand.
inline std::array<double, 2> cell_middle(int64_t y, int64_t x, double stride) {
  return {(static_cast<double>(x) + 0.5) * stride, (static_cast<double>(y) + 0.5) * stride};
}
inline std::array<double, 2> torchvision_middle(int64_t y, int64_t x, int64_t map_height, int64_t map_width,
                                                int64_t padded_height, int64_t padded_width) {
  return {static_cast<double>(x * (padded_width / map_width)), static_cast<double>(y * (padded_height / map_height))};
}

inline BoxSides fcos_box(const std::array<double, 2>& middle, const BoxSides& distances, double unit) {
  return {middle[0] - distances[0] * unit, middle[1] - distances[1] * unit, middle[0] + distances[2] * unit,
          middle[1] + distances[3] * unit};
}

inline BoxSides clipped(BoxSides box, double height, double width) {
  for (int i = 0; i < 4; ++i)
    box[static_cast<size_t>(i)] = std::clamp(box[static_cast<size_t>(i)], 0.0, i % 2 == 0 ? width : height);
  return box;
}

// From the resized to the original picture, and into it.
inline BoxSides rescaled(BoxSides box, double original_height, double original_width, double height, double width) {
  for (int i = 0; i < 4; ++i)
    box[static_cast<size_t>(i)] *= i % 2 == 0 ? original_width / width : original_height / height;
  return clipped(box, original_height, original_width);
}

}  // namespace tessera::reference
