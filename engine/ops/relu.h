// Rectified linear unit, any shape, f32.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable relu(Tape& tape, const Variable& x);

}  // namespace tessera
