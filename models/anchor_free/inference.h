// From class scores, kernels and mask features of the cells to masks of the original picture (spec yolactr.md,
// section 5; SOLOv2's chain). No boxes are predicted: a detection's box is the tight box of its mask.
#pragma once

#include <vector>

#include "data/annotations/annotations.h"
#include "models/anchor_free/config.h"
#include "models/anchor_free/prediction.h"

namespace tessera {

// One picture of the batch. features [N, h, w, kernel channels] at stride 4. Masks of at most config.chunk candidates
// exist at once, as logits; of the others only their bits are kept. On a plan context as many candidates as
// config.candidates are assumed.
std::vector<Detection> detect_masks(Context& context, const CellPredictions& cells, const Tensor& features,
                                    int64_t image, const ImageGeometry& geometry, const AnchorFreeConfig& config);

// The pixels of one row-major mask of whole rows, cut to its tight box; empty for a mask without pixels.
BitMask tight_mask(const uint8_t* bits, int height, int width);

}  // namespace tessera
