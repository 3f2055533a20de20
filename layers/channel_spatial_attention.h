// Channel-spatial attention (CBAM without its batch norm): a factor per channel from the pooled map, then one per cell
// from the pooled channels. Parameters reduce, expand (a perceptron of C / 16 hidden channels, shared by both poolings)
// and spatial (a 7x7 convolution of maximum and mean), each with weight and bias.
#pragma once

#include "layers/conv2d.h"
#include "layers/module.h"

namespace tessera {

class ChannelSpatialAttention {
 public:
  ChannelSpatialAttention(const ParameterScope& scope, int channels, int reduction = 16);

  Variable forward(Tape& tape, const Variable& x) const;  // [N, H, W, C], at least one cell

 private:
  const Parameter* reduce_weight_;
  const Parameter* reduce_bias_;
  const Parameter* expand_weight_;
  const Parameter* expand_bias_;
  Conv2d spatial_;
};

}  // namespace tessera
