// Positional embedding of a grid: one vector per row and one per column, added to every cell (anchor-free YOLACTR,
// specification section 2.2).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x [N, H, W, C], row [H, C], column [W, C] -> [N, H, W, C]. Keeps nothing for backward.
Variable position_add(Tape& tape, const Variable& x, const Variable& row, const Variable& column);

}  // namespace tessera
