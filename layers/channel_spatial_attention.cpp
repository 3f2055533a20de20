#include "layers/channel_spatial_attention.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/channel_attention.h"
#include "engine/ops/linear.h"
#include "engine/ops/relu.h"
#include "engine/ops/spatial_attention.h"
#include "layers/activation_observer.h"

namespace tessera {

namespace {

constexpr int kWindow = 7;

// PyTorch's bias of a layer whose outputs read fan_in values.
Initializer bias_for(int fan_in) { return Initializer::uniform(1.0f / std::sqrt(static_cast<float>(fan_in))); }

}  // namespace

ChannelSpatialAttention::ChannelSpatialAttention(const ParameterScope& scope, int channels, int reduction)
    : spatial_(scope.child("spatial"), {.in = 2,
                                        .out = 1,
                                        .window = kWindow,
                                        .initializer = Initializer::uniform_fan_in(),
                                        .bias = bias_for(2 * kWindow * kWindow)}) {
  const int hidden = std::max(1, channels / reduction);
  const Initializer weights = Initializer::uniform_fan_in();
  reduce_weight_ = &scope.declare("reduce.weight", {hidden, channels}, ParameterRole::weight, weights);
  reduce_bias_ = &scope.declare("reduce.bias", {hidden}, ParameterRole::bias, bias_for(channels));
  expand_weight_ = &scope.declare("expand.weight", {channels, hidden}, ParameterRole::weight, weights);
  expand_bias_ = &scope.declare("expand.bias", {channels}, ParameterRole::bias, bias_for(hidden));
}

Variable ChannelSpatialAttention::forward(Tape& tape, const Variable& x) const {
  // Means and maxima go through the perceptron together.
  const Variable hidden =
      relu(tape, linear(tape, channel_pool(tape, x), tape.parameter(*reduce_weight_), tape.parameter(*reduce_bias_)));
  const Variable channels = linear(tape, hidden, tape.parameter(*expand_weight_), tape.parameter(*expand_bias_));
  const Variable weighted = channel_gate(tape, x, channels);
  const Variable y = spatial_gate(tape, weighted, spatial_.forward(tape, spatial_pool(tape, weighted)));
  observe_block(tape, *expand_weight_, y, false);
  return y;
}

}  // namespace tessera
