// Between separate maps and the levels of a Pyramid (engine/core/pyramid.h).
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace tessera {

// Levels [N, h_l, w_l, C], finest first, and the input pixels per cell of each -> one matrix of rows.
Pyramid stack_pyramid(Tape& tape, const std::vector<Variable>& levels, const std::vector<int64_t>& strides);

// View [N, h, w, C] of one level. Its backward spends a gradient of the whole pyramid: for several levels of one
// pyramid take pyramid_levels.
Variable pyramid_level(Tape& tape, const Pyramid& pyramid, int64_t level);

// Views of all levels; backward joins their gradients into one.
std::vector<Variable> pyramid_levels(Tape& tape, const Pyramid& pyramid);

}  // namespace tessera
