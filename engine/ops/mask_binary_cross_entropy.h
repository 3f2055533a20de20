// Binary cross entropy of mask logits, the replacement for dice in table 2 of the YOLACTR paper (spec yolactr.md,
// section 4.3).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// logits [M, H, W]; targets i32 [T, ceil(H W / 32)] and index i32 [M] as for dice_loss. The sum over masks and pixels
// is divided by H W and by normalizer (the number of masks for a mean). Returns [1]; 0 without masks.
Variable mask_binary_cross_entropy(Tape& tape, const Variable& logits, const Tensor& targets, const Tensor& index,
                                   float normalizer = 1.0f);

}  // namespace tessera
