// Adam with decoupled weight decay over the flat buffers of a ParameterStore, with clipping of gradients by their
// global norm. The arithmetic of torch.optim.AdamW (amsgrad off). The first moment lives in the store's momentum, the
// second in a buffer that the constructor adds to it: both are part of a checkpoint, and the number of the step is the
// iteration, so a resumed run is the straight run.
#pragma once

#include "engine/training/optimizer.h"

namespace tessera {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-4;  // of parameters for which Parameter::decayed() holds
  double clip_norm = 0.0;      // largest L2 norm of all gradients together, 0: no clipping
};

class AdamW final : public Optimizer {
 public:
  // The store must be allocated for training, and live as long as this. Construct before a checkpoint is loaded.
  AdamW(Context& context, ParameterStore& store, const AdamWOptions& options);

  double step(Context& context, int64_t iteration, double learning_rate) override;

 private:
  const ParameterStore& store_;
  AdamWOptions options_;
  Tensor decayed_;
};

}  // namespace tessera
