// From class scores, kernels and mask features of the cells to masks of the original picture (spec yolactr.md,
// section 5; SOLOv2's chain). No boxes are predicted: a detection's box is the tight box of its mask. Nothing waits for
// the host.
#pragma once

#include <vector>

#include "models/anchor_free/config.h"
#include "models/anchor_free/prediction.h"
#include "models/packed_detections.h"

namespace tessera {

// Per picture. features [N, h, w, kernel channels] at stride 4. Masks of at most config.chunk candidates exist at once,
// as logits; of the others only their bits are kept. Deviation from section 5, step 2: of the candidates above the
// threshold the config.measured best ones get a mask, not all, because devices make a fixed number of masks.
std::vector<PackedDetections> detect_masks(Context& context, const CellPredictions& cells, const Tensor& features,
                                           const std::vector<ImageGeometry>& geometry, const AnchorFreeConfig& config);

}  // namespace tessera
