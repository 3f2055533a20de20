// Run lengths of binary masks as COCO counts them: pixels run down the columns (index x * H + y), runs alternate
// background, foreground, and the first one, which may be 0, is background. Results have a fixed capacity, so nobody
// waits for their number.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaskRleArgs {
  const uint8_t* bits;    // [M, H, ceil(W / 8)] least significant bit first; bits past W are ignored
  int32_t* runs;          // [M, capacity]; what lies behind the last run is 0
  int32_t* run_counts;    // [M] runs of the mask: more than `capacity` where they do not all fit; 0 for no pixels
  int64_t count;          // M
  int64_t height, width;  // H, W; H * W below 2^31
  int64_t capacity;
};

TESSERA_KERNEL(mask_rle, MaskRleArgs);

}  // namespace tessera
