// Concatenation along the channels: maps [.., C_i] that agree in all other extents -> [.., sum C_i], in their order.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace tessera {

Variable concat_channels(Tape& tape, const std::vector<Variable>& maps);

}  // namespace tessera
