// Leaky rectified linear unit, any shape, f32: x where x > 0, slope * x elsewhere (torch.nn.LeakyReLU).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// slope > 0.
Variable leaky_relu(Tape& tape, const Variable& x, float slope = 0.01f);

}  // namespace tessera
