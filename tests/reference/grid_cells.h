// Which grid cell a point of a box belongs to, straight from the definition (specification, section 3.3).
#pragma once

#include <algorithm>
#include <cmath>

namespace tessera::reference {

struct GridBox {
  double x1, y1, x2, y2;
};

// Cell index of the point on one axis, or -1 outside [low, high).
inline int axis_cell(double at, double low, double high, int k) {
  if (!(low < high) || at < low || at >= high) return -1;
  return std::min(k - 1, static_cast<int>(std::floor(k * (at - low) / (high - low))));
}

// Row-major cell index, or -1 outside the box.
inline int grid_cell(double x, double y, const GridBox& box, int k) {
  const int ix = axis_cell(x, box.x1, box.x2, k), iy = axis_cell(y, box.y1, box.y2, k);
  return ix < 0 || iy < 0 ? -1 : iy * k + ix;
}

}  // namespace tessera::reference
