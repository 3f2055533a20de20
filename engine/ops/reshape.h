// The same elements under another shape; a view, nothing is copied.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// Throws Error(internal) when the element counts differ.
Variable reshape(Tape& tape, const Variable& x, const Shape& shape);

}  // namespace tessera
