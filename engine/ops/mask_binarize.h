// Binary masks out of logits, one bit a pixel, with area and mean probability of each. No gradient.
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

struct BinaryMasks {
  Tensor words;     // i64 [M, ceil(P / 64)] pixel i is bit i % 64 of word i / 64; unused bits are 0
  Tensor areas;     // i32 [M] set pixels
  Tensor maskness;  // f32 [M] mean probability of the set pixels; 0 for an empty mask
};

// logits [M, P] f32: a pixel is set where sigmoid(logit) > threshold.
BinaryMasks mask_binarize(Context& context, const Tensor& logits, float threshold);

}  // namespace tessera
