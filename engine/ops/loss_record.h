// How every loss ends: its scalar goes on the tape with gradients that the forward pass has already computed.
#pragma once

#include <initializer_list>
#include <vector>

#include "engine/autograd/tape.h"

namespace tessera {

// loss: [1]. gradients: one per input, of its shape, d loss / d input; may be undefined where the input is a constant,
// and all undefined when nothing is recorded. Backward scales them in place by the cotangent of the loss.
Variable record_loss(Tape& tape, const char* op, std::initializer_list<Variable> inputs, Tensor loss,
                     std::vector<Tensor> gradients);

}  // namespace tessera
