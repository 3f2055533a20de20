// A part of the forward pass of which only the input is kept: backward runs it again. Results and gradients have the
// bits they have without, provided the part is a function of its input and of parameters and uses `x` alone of the
// tape's variables.
#pragma once

#include <functional>

#include "engine/autograd/tape.h"

namespace tessera {

using TapeFunction = std::function<Variable(Tape& tape, const Variable& x)>;

// part(tape, x). When x needs no gradient the part is recorded as usual.
Variable recompute(Tape& tape, const Variable& x, TapeFunction part);

}  // namespace tessera
