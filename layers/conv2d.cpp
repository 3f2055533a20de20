#include "layers/conv2d.h"

#include "engine/ops/add.h"
#include "layers/activation_observer.h"

namespace tessera {

Conv2d::Conv2d(const ParameterScope& scope, const Conv2dConfig& config) : config_(config) {
  TESSERA_CHECK(config.window % 2 == 1 && config.in % config.groups == 0 && config.out % config.groups == 0,
                "{}: {} -> {} channels, window {}, {} groups", scope.name(), config.in, config.out, config.window,
                config.groups);
  weight_ = &scope.declare("weight", {config.out, config.window, config.window, config.in / config.groups},
                           ParameterRole::weight, config.initializer);
  const ParameterScope norm_scope = scope.child("norm");
  switch (config.norm.kind) {
    case NormKind::none:
      bias_ = &scope.declare("bias", {config.out}, ParameterRole::bias, config.bias);
      break;
    case NormKind::frozen_bn:
      norm_.emplace<FrozenBatchNorm>(norm_scope, config.out, config.norm.epsilon);
      break;
    case NormKind::bn:
      norm_.emplace<BatchNorm>(norm_scope, config.out, config.norm.epsilon);
      break;
    case NormKind::gn:
      norm_.emplace<GroupNorm>(norm_scope, config.out, config.norm.groups);
      break;
  }
}

Variable Conv2d::forward(Tape& tape, const Variable& x, bool relu, const Variable& residual) const {
  Conv2dInputs inputs;
  inputs.x = x;
  inputs.weight = tape.parameter(*weight_);
  Conv2dOptions options{.stride = config_.stride, .padding = config_.window / 2, .groups = config_.groups};
  const auto* batch = std::get_if<BatchNorm>(&norm_);
  const auto* group = std::get_if<GroupNorm>(&norm_);
  if (group || (batch && tape.recording())) {
    const bool relu_in_norm = relu && !residual.defined();
    const Variable normed =
        group ? group->observe(
                    tape, conv2d_group_norm(tape, inputs, options, group->inputs(tape), group->options(relu_in_norm)).y,
                    relu_in_norm)
              : batch->forward(tape, conv2d(tape, inputs, options), relu_in_norm);
    if (!residual.defined()) return normed;
    const Variable sum = add(tape, normed, residual, {.relu = relu});
    observe_block(tape, *weight_, sum, relu);
    return sum;
  }
  if (bias_) inputs.bias = tape.parameter(*bias_);
  if (const auto* frozen = std::get_if<FrozenBatchNorm>(&norm_); frozen || batch) {
    AffineTensors affine = frozen ? frozen->affine(tape.context()) : batch->affine(tape.context());
    inputs.scale = affine.scale;
    inputs.shift = affine.shift;
  }
  inputs.residual = residual;
  options.relu = relu;
  const Variable y = conv2d(tape, inputs, options);
  if (residual.defined()) {
    observe_block(tape, *weight_, y, relu);
  } else {
    observe_activation(tape, *weight_, y, relu, bias_ ? "" : ".norm");
  }
  return y;
}

Pyramid Conv2d::forward(Tape& tape, const Pyramid& x, bool relu) const {
  TESSERA_CHECK(bias_ && config_.stride == 1, "a norm or stride {} on a pyramid", config_.stride);
  const Pyramid y = conv2d(tape, x, tape.parameter(*weight_), tape.parameter(*bias_),
                           {.padding = config_.window / 2, .groups = config_.groups, .relu = relu});
  observe_activation(tape, *weight_, y, relu);
  return y;
}

std::vector<Pyramid> Conv2d::forward_together(Tape& tape, const std::vector<Branch>& branches, bool relu) {
  TESSERA_CHECK(!branches.empty(), "{} convolutions together", branches.size());
  const Conv2dConfig& config = branches.front().conv->config_;
  const int norm_groups = branches.front().norm->groups();
  std::vector<Conv2dBranch> convolutions;
  std::vector<GroupNormInputs> norms;
  for (const auto& [conv, norm, x] : branches) {
    TESSERA_CHECK(conv->bias_ && conv->config_.stride == 1, "a norm or stride {} on a pyramid", conv->config_.stride);
    TESSERA_CHECK(conv->config_.groups == config.groups && norm->groups() == norm_groups,
                  "groups {} and {} beside {} and {}", conv->config_.groups, norm->groups(), config.groups,
                  norm_groups);
    convolutions.push_back({x, tape.parameter(*conv->weight_), tape.parameter(*conv->bias_)});
    norms.push_back(norm->inputs(tape));
  }
  const auto results = conv2d_group_norm(tape, convolutions, {.padding = config.window / 2, .groups = config.groups},
                                         norms, branches.front().norm->options(relu));
  std::vector<Pyramid> y;
  for (size_t i = 0; i < branches.size(); ++i) {
    observe_activation(tape, *branches[i].conv->weight_, results[i].convolution, false);
    y.push_back(branches[i].norm->observe(tape, results[i].y, relu));
  }
  return y;
}

}  // namespace tessera
