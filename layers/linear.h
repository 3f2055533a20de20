// y = x W^T + b on rows [R, I]: parameters "weight" [O, I] and "bias" [O].
#pragma once

#include "engine/ops/linear.h"
#include "layers/module.h"

namespace tessera {

class Linear {
 public:
  Linear(const ParameterScope& scope, int in, int out, Initializer initializer = Initializer::kaiming_uniform())
      : weight_(&scope.declare("weight", {out, in}, ParameterRole::weight, initializer)),
        bias_(&scope.declare("bias", {out}, ParameterRole::bias, Initializer::zeros())) {}

  Variable forward(Tape& tape, const Variable& x) const {
    return linear(tape, x, tape.parameter(*weight_), tape.parameter(*bias_));
  }

 private:
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace tessera
