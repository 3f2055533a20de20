// Group normalisation with its scale and shift: parameters "weight" and "bias".
#pragma once

#include "engine/ops/group_norm.h"
#include "layers/module.h"

namespace tessera {

class GroupNorm {
 public:
  GroupNorm(const ParameterScope& scope, int channels, int groups);

  Variable forward(Tape& tape, const Variable& x, bool relu = false) const;      // [N, H, W, C]
  Pyramid forward(Tape& tape, const Pyramid& pyramid, bool relu = false) const;  // statistics per image and level

 private:
  int groups_;
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace tessera
