// Concatenation along the channels, and its opposite.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace tessera {

// Maps [.., C_i] that agree in all other extents -> [.., sum C_i], in their order.
Variable concat_channels(Tape& tape, const std::vector<Variable>& maps);

// [.., C] -> maps of the given widths, whose sum is C; copies.
std::vector<Variable> split_channels(Tape& tape, const Variable& x, const std::vector<int64_t>& widths);

}  // namespace tessera
