// Binary cross entropy of mask logits against binary masks: sum over masks and pixels of softplus(z) - q z; gradient
// sigmoid(z) - q.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaskBinaryCrossEntropyArgs {
  const float* logits;     // [M, P]
  const int32_t* targets;  // [T, ceil(P / 32)] pixel p is bit p % 32 of word p / 32
  const int32_t* index;    // [M] target of each mask
  float* loss;             // [1], the sum times `scale`
  float* gradient;         // [M, P] d loss / d logit, or null
  int64_t masks, pixels;
  float scale;
};

TESSERA_KERNEL(mask_binary_cross_entropy, MaskBinaryCrossEntropyArgs);

}  // namespace tessera
