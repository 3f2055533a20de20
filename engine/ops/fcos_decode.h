// Boxes and scores of selected cells of an FCOS head, and their way back to the original picture (specification,
// sections 2.4 and 2.5). No gradient, no wait for the host.
#pragma once

#include "engine/ops/candidates.h"
#include "engine/ops/select_top_k.h"
#include "kernels/fcos_decode.h"

namespace tessera {

struct FcosDecodeOptions {
  LocationRule location = LocationRule::half_stride;
  int64_t padded_height = 0, padded_width = 0;  // of the network input; LocationRule::torchvision needs them
  bool pixel_distances = false;                 // FCOS 2019: distances in pixels instead of strides
  bool root_score = true;                       // sqrt(class * quality); false: the product (mmdetection)
};

// distances [R,4] left, top, right, bottom, not negative, over the rows of `geometry`. clip_sizes f32 [N,2] (height,
// width in input pixels) clips boxes before non-maximum suppression; undefined: no clipping (AdelaiDet).
// Capacity: levels * k. Boxes are in input pixels.
Candidates fcos_decode(Context& context, const TopKSelection& selection, const Tensor& distances,
                       const PyramidGeometry& geometry, const Tensor& clip_sizes, const FcosDecodeOptions& options);

// sizes i32 [N,4]: original height and width, resized height and width before padding. Boxes are scaled to the
// original picture and clipped to it; empty ones are dropped, order and capacity are kept.
Candidates rescale_candidates(Context& context, const Candidates& candidates, const Tensor& sizes);

}  // namespace tessera
