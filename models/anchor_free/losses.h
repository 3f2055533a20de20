// The losses of the anchor-free YOLACTR (spec yolactr.md 4.3; equations 2 to 5 of the paper), weighted:
// 1 * class + 3 * mask + 0.8 * semantic.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"
#include "models/anchor_free/config.h"
#include "models/anchor_free/prediction.h"
#include "models/anchor_free/targets.h"

namespace tessera {

// Focal: the sum over all cells and classes divided by (distinct positive cells + 1). Cross entropy: the mean over all
// cells, the last logit is the background.
Variable class_loss(Tape& tape, const CellPredictions& cells, const GridTargets& targets,
                    const AnchorFreeConfig& config);

// features [N, h, w, kernel channels] at stride 4. The mean over all pairs of a cell and an object: dice over the map,
// or the mean cross entropy of its pixels. Without pairs a constant 0.
Variable pair_loss(Tape& tape, const CellPredictions& cells, const Variable& features, const GridTargets& targets,
                   const AnchorFreeConfig& config);

// logits [N, h, w, classes]: cross entropy summed over classes and pixels, divided by pixels and images. targets: as
// semantic_targets() gives them.
Variable semantic_loss(Tape& tape, const Variable& logits, const std::vector<float>& targets,
                       const AnchorFreeConfig& config);

}  // namespace tessera
