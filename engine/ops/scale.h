// y = factor * x with a constant factor, any shape, f32.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable scale(Tape& tape, const Variable& x, float factor);

}  // namespace tessera
