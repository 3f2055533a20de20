// The tower of a dense head: `count` times 3x3 convolution with bias, group norm, ReLU, with weights shared by all
// levels of a pyramid. Parameters are numbered as in the sequential container of AdelaiDet: convolution 3i, norm 3i
// + 1.
#pragma once

#include <vector>

#include "layers/conv2d.h"
#include "layers/group_norm.h"

namespace tessera {

class ConvTower {
 public:
  ConvTower(const ParameterScope& scope, int channels, int count, int norm_groups);

  Pyramid forward(Tape& tape, Pyramid x) const;

 private:
  std::vector<Conv2d> convs_;
  std::vector<GroupNorm> norms_;
};

}  // namespace tessera
