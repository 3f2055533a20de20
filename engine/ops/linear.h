// Fully connected layer on rows: y = x w^T + b.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x [R, I], weight [O, I], bias [O] or undefined; returns [R, O].
Variable linear(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias = {});

}  // namespace tessera
