// The segmentation loss of GridMask, eq. (4)-(9) of the paper with the errata of the specification (section 3.5):
//   L = scale * sum_j (1 / D_j) sum_cells (1 / |g|) sum_{p in g} [L_f(p) + L_b(p)]
//   L_f = BCE(alpha cos(X_p, F), y_p),  L_b = BCE(alpha cos(X_p, B), 1 - y_p)
// F and B are the foreground and background vectors of the cell, D_j the number of cells of box j that hold a pixel
// centre (or k^2), y the ground truth, from 0 to 1. BCE takes logits: softplus(z) - t z.
// A pixel centre ((u + .5) stride, (v + .5) stride) belongs to the box [x1, x2) x [y1, y2) and there to the cell
// min(k - 1, floor(k (p - x1) / (x2 - x1))), computed in double. cos(a, b) = a.b / max(|a||b|, 1e-8), without gradient
// where that guard acts.
// The gradients are computed in the same pass. With unit vectors x^ and o^, cos = x^.o^ and the gradient of the
// normalisation is a projection: dL/dX = (G - (G.x^) x^) / |X| with G = sum over boxes of dL/dcos o^, likewise for O.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct GridSegmentationLossArgs {
  const float* pixels;      // X [images, height, width, channels]
  const float* objects;     // O [boxes, k * k, 2, channels]: cell row-major, foreground then background
  const float* corners;     // [boxes, 4] x1 y1 x2 y2, input pixels
  const int32_t* image_of;  // [boxes]
  const int32_t* mask_of;   // [boxes] index into masks
  const uint8_t* masks;     // [*, height, width] y in 1/255
  float* loss;              // [1]
  float* pixel_gradient;    // like pixels, or null
  float* object_gradient;   // like objects, or null; both or none
  int64_t images, height, width, channels, boxes;
  int k;
  float alpha;
  float stride;  // input pixels per cell of X
  float scale;   // 1 / N
  bool literal_cell_norm;
};

TESSERA_KERNEL(grid_segmentation_loss, GridSegmentationLossArgs);

}  // namespace tessera
