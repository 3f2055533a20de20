// Batch norm with fixed statistics as an affine per channel (specification, section 1.3): y = x * scale + shift, to
// be applied by channel_affine, or given to conv2d as its scale and shift.
#pragma once

#include "engine/core/tensor.h"
#include "engine/ops/channel_affine.h"

namespace tessera {

struct AffineTensors {
  Tensor scale;  // [C] weight / sqrt(variance + epsilon)
  Tensor shift;  // [C] bias - mean * scale
};

// All inputs [C]. Weight files differ in epsilon: 1e-5 mostly, 0 in some; it travels with the weights.
AffineTensors frozen_batch_norm_affine(Context& context, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                       const Tensor& variance, float epsilon);

}  // namespace tessera
