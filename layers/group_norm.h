// Group normalisation with its scale and shift: parameters "weight" and "bias".
#pragma once

#include "engine/ops/conv2d_group_norm.h"
#include "layers/activation_observer.h"
#include "layers/module.h"

namespace tessera {

class GroupNorm {
 public:
  GroupNorm(const ParameterScope& scope, int channels, int groups);

  // For conv2d_group_norm, whose result is then reported with `observe`.
  GroupNormInputs inputs(Tape& tape) const { return {tape.parameter(*weight_), tape.parameter(*bias_)}; }
  GroupNormOptions options(bool relu) const { return {.groups = groups_, .relu = relu}; }
  int groups() const { return groups_; }
  template <typename Map>
  const Map& observe(Tape& tape, const Map& y, bool relu) const {
    observe_activation(tape, *weight_, y, relu);
    return y;
  }

 private:
  int groups_;
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace tessera
