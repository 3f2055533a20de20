#include "models/gridmask/object_branch.h"

#include "engine/ops/linear.h"
#include "engine/ops/patch_gather.h"
#include "engine/ops/reshape.h"
#include "layers/activation_observer.h"

namespace tessera {

ObjectBranch::ObjectBranch(const ParameterScope& scope, const GridMaskConfig& config, int channels)
    : tower_(scope.child("tower"), channels, config.hidden_convs, config.norm_groups),
      weight_(&scope.declare("pred.weight", {config.object_channels(), 3, 3, channels}, ParameterRole::weight,
                             Initializer::normal(0.01f))),
      bias_(&scope.declare("pred.bias", {config.object_channels()}, ParameterRole::bias, Initializer::zeros())) {}

Pyramid ObjectBranch::embeddings(Tape& tape, const Pyramid& features) const {
  const Pyramid y = conv2d(tape, features, tape.parameter(*weight_), tape.parameter(*bias_), {.padding = 1});
  observe_activation(tape, *weight_, y, false);
  return y;
}

Variable ObjectBranch::embeddings_at(Tape& tape, const Pyramid& features, const Tensor& rows) const {
  const int64_t out = weight_->shape[0];
  const Variable weight = reshape(tape, tape.parameter(*weight_), {out, weight_->shape.elements() / out});
  return linear(tape, patch_gather(tape, features, rows), weight, tape.parameter(*bias_));
}

}  // namespace tessera
