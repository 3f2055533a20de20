// One step of Adam with decoupled weight decay over flat buffers (Loshchilov and Hutter, "Decoupled Weight Decay
// Regularization", 2019; the arithmetic of torch.optim.AdamW): with g' = s * g,
//     w = w (1 - lr d),  m = b1 m + (1 - b1) g',  v = b2 v + (1 - b2) g'^2
//     w = w - lr / c1 * m / (sqrt(v / c2) + epsilon),   c1 = 1 - b1^t, c2 = 1 - b2^t
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/sgd.h"

namespace tessera {

struct AdamWStepArgs {
  float* value;            // [count] w
  const float* gradient;   // [count] g
  float* first;            // [count] m
  float* second;           // [count] v
  const uint8_t* decayed;  // [count / kSgdBlock] 1 where weight decay applies
  int64_t count;           // multiple of kSgdBlock
  float learning_rate;
  float beta1, beta2, epsilon;
  float correction1, correction2;  // c1, c2
  float weight_decay;              // d
  float gradient_scale;            // s, of clipping
};

TESSERA_KERNEL(adamw_step, AdamWStepArgs);

}  // namespace tessera
