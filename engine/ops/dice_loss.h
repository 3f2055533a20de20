// Dice loss of mask logits over whole maps (spec yolactr.md, section 4.3; equation 4 of the YOLACTR paper, with the
// squares of SOLO unless said otherwise).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct DiceLossOptions {
  float normalizer = 1.0f;  // the sum over masks is divided by it: their number for a mean
  bool squared = true;      // squares in the divisor; false: as the paper prints it
};

// logits [M, H, W]; targets i32 [T, ceil(H W / 32)]: one bit a pixel, pixel p is bit p % 32 of word p / 32, bits beyond
// the last pixel are not read; index i32 [M]: the target of each mask, in [0, T). Returns [1]; 0 without masks.
Variable dice_loss(Tape& tape, const Variable& logits, const Tensor& targets, const Tensor& index,
                   const DiceLossOptions& options = {});

}  // namespace tessera
