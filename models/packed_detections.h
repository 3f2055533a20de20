// Detections as they leave a device: tensors of fixed capacity with their numbers beside them, so that nothing before
// waits for the host, and the way from there to plain ones.
#pragma once

#include <vector>

#include "data/annotations/annotations.h"
#include "engine/core/tensor.h"

namespace tessera {

// Of one picture, best first; entries beyond the count are not defined.
struct PackedDetections {
  Tensor count;   // i32 [1]
  Tensor scores;  // f32 [D]
  Tensor labels;  // i32 [D]
  Tensor boxes;   // f32 [D, 4] pixels of the original picture; undefined: the tight boxes of the masks

  // Masks; undefined bits: none. With rectangles they are packed as GridMasks of engine/ops/grid_binarize.h, without
  // them each one is a whole picture, u8 [D, height, ceil(width / 8)].
  Tensor rectangles;  // i32 [D, 4]
  Tensor offsets;     // i64 [D + 1]
  Tensor bits;        // u8
};

// Waits for the device. Of the masks only the bytes in use are copied. Detections whose mask of a whole picture has no
// pixel are left out. On a plan context nothing is found.
std::vector<std::vector<Detection>> unpack(Context& context, const std::vector<PackedDetections>& packed,
                                           const std::vector<ImageGeometry>& geometry);

// The pixels of one row-major mask of whole rows, cut to its tight box; empty for a mask without pixels.
BitMask tight_mask(const uint8_t* bits, int height, int width);

}  // namespace tessera
