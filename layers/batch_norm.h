// Batch normalisation: statistics of the batch on a tape that records (running ones are updated), running statistics
// otherwise. Parameters "weight", "bias", "running_mean", "running_var".
#pragma once

#include "engine/ops/batch_norm.h"
#include "engine/ops/frozen_batch_norm.h"
#include "layers/module.h"

namespace tessera {

class BatchNorm {
 public:
  BatchNorm(const ParameterScope& scope, int channels, float epsilon)
      : epsilon_(epsilon),
        weight_(&scope.declare("weight", {channels}, ParameterRole::norm_affine, Initializer::ones())),
        bias_(&scope.declare("bias", {channels}, ParameterRole::norm_affine, Initializer::zeros())),
        mean_(&scope.declare("running_mean", {channels}, ParameterRole::statistic, Initializer::zeros())),
        variance_(&scope.declare("running_var", {channels}, ParameterRole::statistic, Initializer::ones())) {}

  // With the statistics of x [N, H, W, C], which also move the running ones.
  Variable forward(Tape& tape, const Variable& x, bool relu = false) const {
    return batch_norm(tape, x, tape.parameter(*weight_), tape.parameter(*bias_), mean_->value, variance_->value,
                      {.epsilon = epsilon_, .relu = relu});
  }

  // y = scale * x + shift with the running statistics.
  AffineTensors affine(Context& context) const {
    return frozen_batch_norm_affine(context, weight_->value, bias_->value, mean_->value, variance_->value, epsilon_);
  }

 private:
  float epsilon_;
  const Parameter* weight_;
  const Parameter* bias_;
  const Parameter* mean_;
  const Parameter* variance_;
};

}  // namespace tessera
