// Double-precision oracle of the overlap losses: boxes with corners around the origin, areas of rectangles.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera::reference {

enum class OverlapLoss { iou, linear_iou, giou };

inline double overlap_loss(const double* p, const double* t, OverlapLoss kind, bool torchvision) {
  struct Corners {
    double x1, y1, x2, y2;
    double area() const { return std::max(x2 - x1, 0.0) * std::max(y2 - y1, 0.0); }
  };
  const Corners a{-p[0], -p[1], p[2], p[3]}, b{-t[0], -t[1], t[2], t[3]};
  const Corners inner{std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2), std::min(a.y2, b.y2)};
  const Corners hull{std::min(a.x1, b.x1), std::min(a.y1, b.y1), std::max(a.x2, b.x2), std::max(a.y2, b.y2)};
  const double united = a.area() + b.area() - inner.area();
  const double iou = torchvision ? inner.area() / (united + 1e-7) : (inner.area() + 1) / (united + 1);
  switch (kind) {
    case OverlapLoss::iou:
      return -std::log(iou);
    case OverlapLoss::linear_iou:
      return 1 - iou;
    case OverlapLoss::giou:
      return 1 - (iou - (hull.area() - united) / (hull.area() + (torchvision ? 1e-7 : 0)));
  }
  return 0;
}

}  // namespace tessera::reference
