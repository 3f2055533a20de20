// Run lengths of binary masks, as COCO files hold them (kernels/mask_rle.h; data/annotations/rle.h has the format). No
// gradient.
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

struct MaskRuns {
  Tensor runs;    // [M, capacity] i32: background, foreground, background, ... down the columns; 0 behind the last one
  Tensor counts;  // [M] i32, runs of each mask; more than the capacity where they did not fit
};

// bits [M, height, ceil(width / 8)] u8, least significant bit first: what mask_enlarge writes.
MaskRuns mask_rle(Context& context, const Tensor& bits, int64_t width, int64_t capacity);

}  // namespace tessera
