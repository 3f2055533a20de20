// The segmentation loss of GridMask, eq. (4)-(9): every pixel of a box is compared with the foreground and the
// background vector of its grid cell. Knows no detector: boxes, masks and vectors come from the caller.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct GridSegmentationTargets {
  Tensor boxes;     // f32 [J,4] x1 y1 x2 y2 in input pixels: defines the cells
  Tensor image_of;  // i32 [J] row of `pixels`
  Tensor mask_of;   // i32 [J] row of `masks`; several boxes may share one
  Tensor masks;     // u8 [M,h,w] at the stride of `pixels`: 0 background to 255 foreground
};

struct GridSegmentationOptions {
  int k = 3;
  float alpha = 5.0f;
  float stride = 8.0f;             // input pixels per cell of `pixels`
  bool literal_cell_norm = false;  // divide by k^2 instead of by the number of cells that hold a pixel centre
  float normalizer = 1.0f;         // N; boxes without any pixel centre add nothing but are counted in it by the caller
};

// pixels X [N,h,w,C]; objects O [J, 2 k k C]: cells row-major, foreground then background, C channels.
// Neither is normalised. Returns [1]; J = 0 gives 0 with zero gradients.
Variable grid_segmentation_loss(Tape& tape, const Variable& pixels, const Variable& objects,
                                const GridSegmentationTargets& targets, const GridSegmentationOptions& options);

}  // namespace tessera
