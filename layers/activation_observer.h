// Modules report their outputs by name to the observer of the tape (Tape::observe_activations), from where the output
// is complete: `model compare`, goldens. Without an observer that costs a comparison.
#pragma once

#include "engine/autograd/parameter_store.h"
#include "engine/autograd/tape.h"

namespace tessera {

// The output of the module whose weight this is, or of a part of it (".norm"). A module that runs several times on a
// tape reports as often, under the same name.
void observe_activation(const Tape& tape, const Parameter& weight, const Variable& value, bool rectified,
                        const char* part = "");
void observe_activation(const Tape& tape, const Parameter& weight, const Pyramid& value, bool rectified);
// The output of the block that the module with this weight ends: conv3 of "res2.0" reports as "res2.0".
void observe_block(const Tape& tape, const Parameter& last_weight, const Variable& value, bool rectified);

}  // namespace tessera
