// y = relu?( x * scale + shift ) with constant scale [C] and shift [C] over the last extent of x: frozen batch norm in
// training, where it is kept apart from the convolution (specification, section 1.3).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable channel_affine(Tape& tape, const Variable& x, const Tensor& scale, const Tensor& shift, bool relu = false);

}  // namespace tessera
