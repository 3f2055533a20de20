// Masks of detected boxes from pixel and object embeddings (spec section 3.7). Knows no detector.
#pragma once

#include <vector>

#include "data/annotations/annotations.h"
#include "engine/core/tensor.h"
#include "engine/ops/grid_binarize.h"
#include "models/gridmask/config.h"

namespace tessera {

struct GridMaskRequest {
  Tensor pixels;   // X [1, h, w, dim] of one picture, padding included
  int stride = 8;  // input pixels per pixel of X
  Tensor objects;  // [D, 2 k k dim]
  Tensor boxes;    // f32 [D, 4], pixels of the original picture
  Tensor count;    // i32 [1]: how many of the D are valid
};

// One mask per valid box, at the original size: inside the box a pixel is set when its embedding is closer to the
// foreground than to the background vector of its grid cell. Nothing waits for the host.
GridMasks gridmask_masks(Context& context, const GridMaskRequest& request, const ImageGeometry& geometry,
                         const GridMaskConfig& config);

}  // namespace tessera
