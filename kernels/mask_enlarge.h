// From mask logits on the coarse map of a padded input to binary masks of the original picture (spec yolactr.md,
// section 5, step 7): p = sigmoid(z); p enlarged `stride` times; the padding cut off; resized to the original size;
// 1 where the result exceeds the threshold. Both resizes are bilinear with half-pixel centres. One row of each size
// exists at a time.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaskEnlargeArgs {
  const float* logits;            // [M, h, w]
  uint8_t* bits;                  // [M, H, ceil(W / 8)] least significant bit first; unused bits are 0
  int64_t count;                  // M
  int64_t height, width;          // h, w
  int64_t stride;                 // input pixels per pixel of the map
  int64_t cut_height, cut_width;  // of the input without padding, at most stride * h and stride * w
  int64_t out_height, out_width;  // H, W
  float threshold;
};

TESSERA_KERNEL(mask_enlarge, MaskEnlargeArgs);

}  // namespace tessera
