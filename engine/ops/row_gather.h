// Rows of a matrix by number: x [R, C], index i32 [J] -> y [J, C], y[j] = x[index[j]]. Indices may repeat; backward
// adds their gradients in the order of j (deterministic). An index outside [0, R) gives a row of NaN and no gradient.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

Variable row_gather(Tape& tape, const Variable& x, const Tensor& index);

}  // namespace tessera
