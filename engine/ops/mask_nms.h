// Suppression of masks by their overlap (kernels/mask_nms.h): matrix NMS of SOLOv2, or greedy removal. Masks are sorted
// by falling score. No gradient.
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

// words i64 [M, W] and areas i32 [M] as mask_binarize makes them, labels i32 [M] -> f32 [M, M]: at (i, j), i < j, the
// intersection over union when the labels are equal, else 0.
Tensor mask_overlap(Context& context, const Tensor& words, const Tensor& areas, const Tensor& labels);

struct MatrixNmsOptions {
  bool gaussian = true;  // else linear
  float sigma = 2.0f;    // of gaussian
};

// overlaps [M, M], scores f32 [M] -> the decayed scores [M], none above its own.
Tensor matrix_nms(Context& context, const Tensor& overlaps, const Tensor& scores, const MatrixNmsOptions& options = {});

// u8 [M]: 0 for masks whose overlap with a kept one before it exceeds the threshold.
Tensor greedy_nms(Context& context, const Tensor& overlaps, float threshold);

}  // namespace tessera
