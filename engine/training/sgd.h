// Stochastic gradient descent with momentum and weight decay over the flat buffers of a ParameterStore, with clipping
// of gradients by their global norm. The arithmetic of torch.optim.SGD and torch.nn.utils.clip_grad_norm_.
#pragma once

#include "engine/training/optimizer.h"

namespace tessera {

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 1e-4;  // of parameters for which Parameter::decayed() holds
  double clip_norm = 0.0;      // largest L2 norm of all gradients together, 0: no clipping
};

class Sgd final : public Optimizer {
 public:
  // The store must be allocated for training, and live as long as this.
  Sgd(Context& context, const ParameterStore& store, const SgdOptions& options);

  double step(Context& context, int64_t iteration, double learning_rate) override;

 private:
  const ParameterStore& store_;
  SgdOptions options_;
  Tensor decayed_;
};

}  // namespace tessera
