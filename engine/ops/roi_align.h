// Regions of maps resampled to one size: the mean of bilinear samples per bin (kernels/roi_align.h has the formula).
// Agrees with torchvision.ops.roi_align.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct RoiAlignOptions {
  int64_t out_height = 7, out_width = 7;
  float scale = 1.0f;      // cells of the map per unit of the boxes: 1 / stride
  int sampling_ratio = 0;  // samples per bin and axis; 0: as many as the bin has cells, rounded up
  bool aligned = true;  // half a cell to the left and up: what Detectron2 calls ROIAlignV2. Without it, regions are at
                        // least one cell
};

// x [N, H, W, C], boxes [K, 4] f32 (x1, y1, x2, y2), image_of [K] i32; returns [K, out_height, out_width, C]. A region
// of no image of the batch is NaN. Boxes are constants: they get no gradient.
Variable roi_align(Tape& tape, const Variable& x, const Tensor& boxes, const Tensor& image_of,
                   const RoiAlignOptions& options = {});

}  // namespace tessera
