// Mask logits on the coarse map of a padded input -> binary masks of the original picture (kernels/mask_enlarge.h). No
// gradient.
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

struct MaskEnlargeOptions {
  int64_t stride = 4;                     // input pixels per pixel of the map
  int64_t cut_height = 0, cut_width = 0;  // of the input without padding
  int64_t out_height = 0, out_width = 0;  // of the original picture
  float threshold = 0.5f;
};

// logits [M, h, w] f32 -> u8 [M, out_height, ceil(out_width / 8)], least significant bit first.
Tensor mask_enlarge(Context& context, const Tensor& logits, const MaskEnlargeOptions& options);

}  // namespace tessera
