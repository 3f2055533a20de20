// The three losses of FCOS (spec section 2.3): focal over all cells and classes, IoU of the boxes and binary cross
// entropy of the box quality over the positive cells.
#pragma once

#include <vector>

#include "models/fcos/head.h"
#include "models/fcos/targets.h"

namespace tessera {

struct FcosLosses {
  Variable classification, box, centerness;  // [1] each
};

// Without positives the last two are zero and send zero gradients.
FcosLosses fcos_losses(Tape& tape, const FcosOutput& output, const FcosTargets& targets, const FcosConfig& config);

}  // namespace tessera
