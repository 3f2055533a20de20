// Binary masks out of logits, and what inference asks of each: p = sigmoid(z); a pixel is set where p exceeds the
// threshold; the area counts set pixels, the maskness is the mean of p over them (SOLO).
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaskBinarizeArgs {
  const float* logits;    // [M, P]
  int64_t* words;         // [M, ceil(P / 64)] pixel i is bit i % 64 of word i / 64; unused bits are 0
  int32_t* areas;         // [M]
  float* maskness;        // [M]; 0 for an empty mask
  int64_t count, pixels;  // M, P
  float threshold;        // in [0, 1]
};

TESSERA_KERNEL(mask_binarize, MaskBinarizeArgs);

}  // namespace tessera
