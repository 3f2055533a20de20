// Dice loss of mask logits against binary masks (Milletari et al., "V-Net", 2016, as SOLO uses it): per mask with
// p = sigmoid(z), a = sum p q, b = sum p^2 + 0.001, c = sum q^2 + 0.001 over all pixels
//     L = 1 - 2 a / (b + c)
//     dL/dz = (-2 q / (b + c) + 4 a p / (b + c)^2) p (1 - p)
// Without squares b = sum p + 0.001, c = sum q + 0.001, and the second term is 2 a / (b + c)^2.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct DiceLossArgs {
  const float* logits;     // [M, P]
  const int32_t* targets;  // [T, ceil(P / 32)] pixel p is bit p % 32 of word p / 32
  const int32_t* index;    // [M] target of each mask
  float* loss;             // [1], the sum over masks times `scale`
  float* gradient;         // [M, P] d loss / d logit, or null
  int64_t masks, pixels;
  float scale;
  bool squared;
};

TESSERA_KERNEL(dice_loss, DiceLossArgs);

}  // namespace tessera
