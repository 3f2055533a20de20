// Gaussian error linear unit x Phi(x), the exact form (torch.nn.GELU), any shape, f32.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable gelu(Tape& tape, const Variable& x);

}  // namespace tessera
