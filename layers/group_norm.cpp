#include "layers/group_norm.h"

#include "layers/activation_observer.h"

namespace tessera {

GroupNorm::GroupNorm(const ParameterScope& scope, int channels, int groups)
    : groups_(groups),
      weight_(&scope.declare("weight", {channels}, ParameterRole::norm_affine, Initializer::ones())),
      bias_(&scope.declare("bias", {channels}, ParameterRole::norm_affine, Initializer::zeros())) {
  TESSERA_CHECK(groups >= 1 && channels % groups == 0, "{} channels in {} groups", channels, groups);
}

Variable GroupNorm::forward(Tape& tape, const Variable& x, bool relu) const {
  const Variable y =
      group_norm(tape, x, tape.parameter(*weight_), tape.parameter(*bias_), {.groups = groups_, .relu = relu});
  observe_activation(tape, *weight_, y, relu);
  return y;
}

Pyramid GroupNorm::forward(Tape& tape, const Pyramid& pyramid, bool relu) const {
  const Pyramid y =
      group_norm(tape, pyramid, tape.parameter(*weight_), tape.parameter(*bias_), {.groups = groups_, .relu = relu});
  observe_activation(tape, *weight_, y, relu);
  return y;
}

}  // namespace tessera
