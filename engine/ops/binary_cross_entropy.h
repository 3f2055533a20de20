// Binary cross entropy with logits against soft targets: the centerness loss of FCOS.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// logits [P] or [P,1] f32; targets [P] f32 in [0, 1], constants. Sum over the elements divided by `normalizer`: [1].
Variable binary_cross_entropy_with_logits(Tape& tape, const Variable& logits, const Tensor& targets, float normalizer);

}  // namespace tessera
