// 3x3 neighbourhoods of chosen cells of a pyramid: a 3x3 convolution at J cells is linear(patch_gather(x), weights).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x: rows [R, C]; rows: i32 [J], repeats allowed. Returns [J, 9 * C]; cells outside a map count as zero.
Variable patch_gather(Tape& tape, const Pyramid& x, const Tensor& rows);

}  // namespace tessera
