// One step of stochastic gradient descent with momentum and weight decay over flat buffers, as torch.optim.SGD
// (dampening 0, no Nesterov): g' = s * g + d * w;  v = m * v + g';  w = w - lr * v.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// Parameters start at multiples of this many elements, so one byte per block says whether it decays.
inline constexpr int64_t kSgdBlock = 16;

struct SgdStepArgs {
  float* value;            // [count] w
  const float* gradient;   // [count] g
  float* momentum;         // [count] v
  const uint8_t* decayed;  // [count / kSgdBlock] 1 where weight decay applies
  int64_t count;           // multiple of kSgdBlock
  float learning_rate;
  float momentum_factor;  // m
  float weight_decay;     // d
  float gradient_scale;   // s, of clipping
};

TESSERA_KERNEL(sgd_step, SgdStepArgs);

}  // namespace tessera
