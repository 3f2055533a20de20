// Change of the extents of a map [N, h, w, C] -> [N, H, W, C].
//
// Bilinear, half-pixel centres: src = clamp((dst + 0.5) * in / out - 0.5, 0, in - 1), the two neighbours blended along
// each axis (torch interpolate, bilinear, align_corners = false).
// Nearest: src = floor(dst * in / out) in exact integers; optionally added to a map of the output's shape.
//
// Backward is written as a gather: every input pixel sums what the output pixels that read it give back, in a fixed
// order.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct ResizeExtents {
  int64_t images;                 // N
  int64_t in_height, in_width;    // h, w
  int64_t out_height, out_width;  // H, W
  int64_t channels;               // C
};

struct ResizeForwardArgs {
  const float* x;       // [N, h, w, C]
  const float* addend;  // [N, H, W, C], nearest only; nullptr: nothing is added
  float* y;             // [N, H, W, C]; may be addend
  ResizeExtents extents;
};

struct ResizeBackwardArgs {
  const float* dy;  // [N, H, W, C]
  float* dx;        // [N, h, w, C]
  ResizeExtents extents;
};

TESSERA_KERNEL(resize_bilinear_forward, ResizeForwardArgs);
TESSERA_KERNEL(resize_bilinear_backward, ResizeBackwardArgs);
TESSERA_KERNEL(resize_nearest_forward, ResizeForwardArgs);
TESSERA_KERNEL(resize_nearest_backward, ResizeBackwardArgs);

}  // namespace tessera
