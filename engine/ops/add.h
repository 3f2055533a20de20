// Elementwise sum of two tensors of one shape, f32, optionally rectified (the residual connection of ResNet).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct AddOptions {
  bool relu = false;
};

Variable add(Tape& tape, const Variable& a, const Variable& b, const AddOptions& options = {});

}  // namespace tessera
