// Batch normalisation in training mode: statistics per channel over N, H and W of this batch, biased variance in y;
// the running statistics move by `momentum` towards the batch's mean and unbiased variance, as torch.nn.BatchNorm2d.
// At inference use frozen_batch_norm_affine and channel_affine.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct BatchNormOptions {
  float epsilon = 1e-5f;
  float momentum = 0.1f;
  bool relu = false;
};

// x [N, H, W, C], at least one value per channel; weight, bias [C]; running_mean, running_variance [C] are updated in
// place by the forward pass, or both undefined.
Variable batch_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias,
                    const Tensor& running_mean, const Tensor& running_variance, const BatchNormOptions& options = {});

}  // namespace tessera
