// One vector per row and one per column of a map, added to its cells: y[n,i,j] = x[n,i,j] + r[i] + c[j];
// dr[i] = sum over n, j of dy, dc[j] = sum over n, i of dy.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct PositionAddForwardArgs {
  const float* x;       // [N, H, W, C]
  const float* row;     // [H, C]
  const float* column;  // [W, C]
  float* y;             // [N, H, W, C]; may be x
  int64_t images, height, width, channels;
};

struct PositionAddBackwardArgs {
  const float* dy;  // [N, H, W, C]
  float* drow;      // [H, C], nullptr: not wanted
  float* dcolumn;   // [W, C], nullptr: not wanted
  int64_t images, height, width, channels;
};

TESSERA_KERNEL(position_add_forward, PositionAddForwardArgs);
TESSERA_KERNEL(position_add_backward, PositionAddBackwardArgs);

}  // namespace tessera
