// Layer normalisation over the last axis, biased variance, with affine weight [C] and bias [C]
// (torch.nn.functional.layer_norm).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x [.., C] -> the same shape.
Variable layer_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias, float epsilon = 1e-5f);

}  // namespace tessera
