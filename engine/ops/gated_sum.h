// x + sum of gate * branch, with one learned scalar per branch: the gated residual connection of ReZero. A gate of 0
// leaves x as it is and still receives a gradient.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace tessera {

struct GatedBranch {
  Variable gate;   // one element, any rank
  Variable value;  // shape of x
};

// One to four branches, f32. Keeps for backward the values of branches whose gate learns.
Variable gated_sum(Tape& tape, const Variable& x, const std::vector<GatedBranch>& branches);

}  // namespace tessera
