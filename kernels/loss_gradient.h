// Losses compute their gradients in the forward pass, for a cotangent of 1; backward multiplies them by the real one.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct LossGradientScaleArgs {
  float* gradient;         // [count], in and out
  const float* cotangent;  // [1]
  int64_t count;
};

TESSERA_KERNEL(loss_gradient_scale, LossGradientScaleArgs);

}  // namespace tessera
