// y_l = activation(s_l * x_l) with one learned scalar s_l per level of a pyramid: the box regression of FCOS
// (specification, section 2.1; relu in AdelaiDet, exp in FCOS 2019).
#pragma once

#include <vector>

#include "engine/autograd/tape.h"
#include "kernels/scale_levels.h"

namespace tessera {

// scales: [1] each, one per level.
Pyramid scale_levels(Tape& tape, const Pyramid& x, const std::vector<Variable>& scales, ScaleActivation activation);

}  // namespace tessera
