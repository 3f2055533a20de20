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

  Pyramid forward(Tape& tape, const Pyramid& x) const;

  // Towers of the same channels and norm groups on the same x. Their layers number i are branches of one convolution,
  // on a device one launch; a tower with fewer layers ends before the others.
  static std::vector<Pyramid> forward_together(Tape& tape, const std::vector<const ConvTower*>& towers,
                                               const Pyramid& x);

 private:
  std::vector<Conv2d> convs_;
  std::vector<GroupNorm> norms_;
};

}  // namespace tessera
