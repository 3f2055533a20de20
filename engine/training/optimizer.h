// What the optimizers share: they move the values of a ParameterStore along its gradients, whose global norm they clip.
#pragma once

#include <cstdint>

#include "engine/autograd/parameter_store.h"

namespace tessera {

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Applies the gradients of the store and returns their norm before clipping. iteration counts from 0. Throws
  // Error(non_finite) naming the tensor, with nothing changed, when a gradient is NaN or infinite.
  virtual double step(Context& context, int64_t iteration, double learning_rate) = 0;
};

// L2 norm of all gradients together; the same bits for any number of threads.
double gradient_norm(Context& context, const ParameterStore& store);

// As above, and throws Error(non_finite) naming the tensor when it is not finite.
double finite_gradient_norm(Context& context, int64_t iteration, const ParameterStore& store);

// Factor that brings gradients of this norm down to clip_norm (0: no clipping), as torch.nn.utils.clip_grad_norm_.
double clip_factor(double norm, double clip_norm);

// u8 [trainable elements / 16]: 1 for blocks of parameters that decay. The store must be allocated for training.
Tensor decay_mask(Context& context, const ParameterStore& store);

}  // namespace tessera
