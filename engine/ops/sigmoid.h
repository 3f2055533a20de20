// y = 1 / (1 + exp(-x)), elementwise, any shape, f32.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable sigmoid(Tape& tape, const Variable& x);

}  // namespace tessera
