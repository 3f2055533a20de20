#include "models/anchor_free/transformer_layer.h"

#include <cmath>

#include "engine/ops/add.h"
#include "engine/ops/axial_attention.h"
#include "engine/ops/gated_sum.h"
#include "engine/ops/gelu.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/leaky_relu.h"
#include "engine/ops/linear.h"
#include "engine/ops/reshape.h"
#include "layers/activation_observer.h"
#include "layers/conv2d.h"

namespace tessera {

namespace {

constexpr int kExpansion = 4;         // width of the MLP over that of the map
constexpr float kLeakySlope = 0.01f;  // PyTorch's

Initializer bias_like_weights(int64_t fan_in) {
  return Initializer::uniform(1.0f / std::sqrt(static_cast<float>(fan_in)));
}

// A linear layer on the cells of a map, initialised as PyTorch does.
class CellLinear {
 public:
  CellLinear(const ParameterScope& scope, int in, int out, bool with_bias)
      : weight_(&scope.declare("weight", {out, in}, ParameterRole::weight, Initializer::uniform_fan_in())) {
    if (with_bias) bias_ = &scope.declare("bias", {out}, ParameterRole::bias, bias_like_weights(in));
  }

  Variable forward(Tape& tape, const Variable& x) const {
    const int64_t rows = x.value.elements() / x.shape().back();
    Variable bias;
    if (bias_ != nullptr) bias = tape.parameter(*bias_);
    const Variable y = linear(tape, reshape(tape, x, {rows, x.shape().back()}), tape.parameter(*weight_), bias);
    const Variable map = reshape(tape, y, {x.extent(0), x.extent(1), x.extent(2), y.extent(1)});
    observe_activation(tape, *weight_, map, false);
    return map;
  }

 private:
  const Parameter* weight_;
  const Parameter* bias_ = nullptr;
};

class Attention {
 public:
  Attention(const ParameterScope& scope, const AnchorFreeConfig& config, AttentionAxis axis)
      : query_(scope.child("query"), config.channels, config.channels, false),
        key_value_(scope.child("key_value"), config.channels, 2 * config.channels, false),
        output_(scope.child("output"), config.channels, config.channels, true),
        heads_(config.heads()),
        axis_(axis) {}

  Variable forward(Tape& tape, const Variable& x) const {
    const Variable query = query_.forward(tape, x);
    const Variable key_value = key_value_.forward(tape, x);
    return output_.forward(tape, axial_attention(tape, query, key_value, heads_, axis_));
  }

 private:
  CellLinear query_, key_value_, output_;
  int heads_;
  AttentionAxis axis_;
};

class ConvFeedForward {
 public:
  ConvFeedForward(const ParameterScope& scope, int channels)
      : conv1_(scope.child("conv1"), conv(channels)), conv2_(scope.child("conv2"), conv(channels)) {}

  Variable forward(Tape& tape, const Variable& x) const {
    return conv2_.forward(tape, leaky_relu(tape, conv1_.forward(tape, x), kLeakySlope));
  }

 private:
  static Conv2dConfig conv(int channels) {
    return {.in = channels,
            .out = channels,
            .window = 3,
            .initializer = Initializer::uniform_fan_in(),
            .bias = bias_like_weights(int64_t{9} * channels)};
  }
  Conv2d conv1_, conv2_;
};

class HybridReZero final : public TransformerLayer {
 public:
  HybridReZero(const ParameterScope& scope, const AnchorFreeConfig& config)
      : column_(scope.child("column"), config, AttentionAxis::column),
        row_(scope.child("row"), config, AttentionAxis::row),
        first_(scope.child("feed_forward.0"), config.channels),
        second_(scope.child("feed_forward.1"), config.channels) {
    const char* names[kGates] = {"column", "row", "feed_forward0", "feed_forward1"};
    for (size_t i = 0; i < kGates; ++i) {
      gates_[i] = &scope.child("gate").declare(names[i], {}, ParameterRole::weight, Initializer::zeros());
    }
  }

  Variable forward(Tape& tape, const Variable& x) const override {
    const auto gate = [&](size_t i) { return tape.parameter(*gates_[i]); };
    const Variable attended =
        gated_sum(tape, x, {{gate(0), column_.forward(tape, x)}, {gate(1), row_.forward(tape, x)}});
    const Variable y = gated_sum(
        tape, attended, {{gate(2), first_.forward(tape, attended)}, {gate(3), second_.forward(tape, attended)}});
    observe_block(tape, *gates_[0], y, false);
    return y;
  }

 private:
  static constexpr size_t kGates = 4;
  Attention column_, row_;
  ConvFeedForward first_, second_;
  const Parameter* gates_[kGates];
};

class CellNorm {
 public:
  CellNorm(const ParameterScope& scope, int channels)
      : weight_(&scope.declare("weight", {channels}, ParameterRole::norm_affine, Initializer::ones())),
        bias_(&scope.declare("bias", {channels}, ParameterRole::norm_affine, Initializer::zeros())) {}

  Variable forward(Tape& tape, const Variable& x) const {
    const Variable y = layer_norm(tape, x, tape.parameter(*weight_), tape.parameter(*bias_));
    observe_activation(tape, *weight_, y, false);
    return y;
  }

 private:
  const Parameter* weight_;
  const Parameter* bias_;
};

class PreNormMlp final : public TransformerLayer {
 public:
  PreNormMlp(const ParameterScope& scope, const AnchorFreeConfig& config)
      : norm_column_(scope.child("norm_column"), config.channels),
        norm_row_(scope.child("norm_row"), config.channels),
        norm_mlp_(scope.child("norm_mlp"), config.channels),
        column_(scope.child("column"), config, AttentionAxis::column),
        row_(scope.child("row"), config, AttentionAxis::row),
        expand_(scope.child("mlp.expand"), config.channels, kExpansion * config.channels, true),
        contract_(scope.child("mlp.contract"), kExpansion * config.channels, config.channels, true) {}

  Variable forward(Tape& tape, const Variable& input) const override {
    Variable x = add(tape, input, column_.forward(tape, norm_column_.forward(tape, input)));
    x = add(tape, x, row_.forward(tape, norm_row_.forward(tape, x)));
    return add(tape, x, contract_.forward(tape, gelu(tape, expand_.forward(tape, norm_mlp_.forward(tape, x)))));
  }

 private:
  CellNorm norm_column_, norm_row_, norm_mlp_;
  Attention column_, row_;
  CellLinear expand_, contract_;
};

}  // namespace

std::unique_ptr<TransformerLayer> make_transformer_layer(const ParameterScope& scope, const AnchorFreeConfig& config) {
  if (config.block == TransformerBlock::preln_mlp) return std::make_unique<PreNormMlp>(scope, config);
  return std::make_unique<HybridReZero>(scope, config);
}

}  // namespace tessera
