// Point NMS of SOLO on grids of scores: a score stays when it is at least as high as those of the cells above, on the
// left, and above on the left, class by class; else it becomes 0. Equal neighbours both stay.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct PointNmsArgs {
  const float* scores;  // [N, H, W, K]
  float* kept;          // [N, H, W, K]
  int64_t images, height, width, classes;
};

TESSERA_KERNEL(point_nms, PointNmsArgs);

}  // namespace tessera
