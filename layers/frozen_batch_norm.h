// Batch normalisation with fixed statistics and fixed scale and shift, as pretrained backbones are used: a constant
// affine per channel that the convolution in front of it applies. Parameters "weight", "bias", "running_mean",
// "running_var".
#pragma once

#include "engine/ops/frozen_batch_norm.h"
#include "layers/module.h"

namespace tessera {

class FrozenBatchNorm {
 public:
  // epsilon: 1e-5, or 0 for weights of torchvision's Faster R-CNN and Mask R-CNN. Initially the identity.
  FrozenBatchNorm(const ParameterScope& scope, int channels, float epsilon)
      : epsilon_(epsilon),
        weight_(&scope.declare("weight", {channels}, ParameterRole::frozen_affine, Initializer::ones())),
        bias_(&scope.declare("bias", {channels}, ParameterRole::frozen_affine, Initializer::zeros())),
        mean_(&scope.declare("running_mean", {channels}, ParameterRole::statistic, Initializer::zeros())),
        variance_(&scope.declare("running_var", {channels}, ParameterRole::statistic,
                                 Initializer::constant(1.0f - epsilon))) {}

  // y = scale * x + shift
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
