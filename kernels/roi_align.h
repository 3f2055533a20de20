// Regions of maps resampled to one size (He et al., "Mask R-CNN", 2017, section 3; the arithmetic of
// torchvision.ops.roi_align). Along each axis, with s = 1/2 when aligned and 0 when not:
//     start = scale * first - s,  size = scale * (last - first), at least 1 when not aligned,  bin = size / out
//     sample k of bin b lies at start + b bin + (k + 1/2) bin / g,  g = sampling_ratio, or ceil(bin) where that is 0
// An output is the mean over the g_y g_x samples of its bin of the map, read bilinearly between the centres of its
// cells (cell i at coordinate i): coordinates in [-1, 0) count as 0, those in (extent - 1, extent] as extent - 1, and
// samples beyond are 0. A bin without samples is 0. dx gathers: a cell adds the gradients of all bins that read it, in
// the order of regions, then bins. Boxes get no gradient.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// Of an adaptive bin, per axis: more would only be asked for by a box that is no number.
inline constexpr float kMostRoiSamples = 16384;

struct RoiAlignShape {
  int64_t images, height, width, channels;  // of the map
  int64_t regions, out_height, out_width;
  float scale;             // cells of the map per unit of the boxes
  int32_t sampling_ratio;  // samples per bin and axis, 0: adaptive
  bool aligned;
};

struct RoiAlignForwardArgs {
  RoiAlignShape shape;
  const float* x;           // [N, H, W, C]
  const float* boxes;       // [K, 4] x1, y1, x2, y2
  const int32_t* image_of;  // [K]; outside [0, N): the region is NaN and gets no gradient
  float* y;                 // [K, out_height, out_width, C]
};

struct RoiAlignBackwardArgs {
  RoiAlignShape shape;
  const float* boxes;
  const int32_t* image_of;
  const float* dy;  // [K, out_height, out_width, C]
  float* dx;        // [N, H, W, C], overwritten
};

TESSERA_KERNEL(roi_align_forward, RoiAlignForwardArgs);
TESSERA_KERNEL(roi_align_backward, RoiAlignBackwardArgs);

}  // namespace tessera
