#include "models/fcos/head.h"

#include "engine/ops/relu.h"
#include "engine/ops/scale_levels.h"

namespace tessera {

namespace {

constexpr float kPriorBias = -4.59511985f;  // -ln((1 - 0.01) / 0.01): every class starts at probability 0.01

Conv2dConfig predictor(int in, int out, float bias = 0.0f) {
  return {.in = in,
          .out = out,
          .window = 3,
          .initializer = Initializer::normal(0.01f),
          .bias = Initializer::constant(bias)};
}

}  // namespace

FcosHead::FcosHead(const ParameterScope& scope, const FcosConfig& config, int levels)
    : config_(config),
      class_tower_(scope.child("cls_tower"), config.channels, config.tower_convs, config.norm_groups),
      box_tower_(scope.child("bbox_tower"), config.channels, config.tower_convs, config.norm_groups),
      logits_(scope.child("cls_logits"), predictor(config.channels, config.classes, kPriorBias)),
      boxes_(scope.child("bbox_pred"), predictor(config.channels, 4)),
      centerness_(scope.child("ctrness"), predictor(config.channels, 1)) {
  for (int level = 0; config.level_scales && level < levels; ++level) {
    scales_.push_back(&scope.child("scales")
                           .child(std::to_string(level))
                           .declare("scale", {1}, ParameterRole::weight, Initializer::ones()));
  }
}

FcosOutput FcosHead::forward(Tape& tape, const Pyramid& features) const {
  const std::vector<Pyramid> towers = ConvTower::forward_together(tape, {&class_tower_, &box_tower_}, features);
  const Pyramid &class_features = towers[0], &box_features = towers[1];
  FcosOutput output;
  output.logits = logits_.forward(tape, class_features);
  output.centerness = centerness_.forward(tape, config_.centerness_on_regression ? box_features : class_features);

  const bool exponential = config_.activation == RegressionActivation::exp;
  std::vector<Variable> scales;
  for (const Parameter* scale : scales_) scales.push_back(tape.parameter(*scale));
  output.distances = boxes_.forward(tape, box_features, !exponential && scales.empty());
  if (!scales.empty()) {
    output.distances =
        scale_levels(tape, output.distances, scales, exponential ? ScaleActivation::exp : ScaleActivation::relu);
  }
  return output;
}

}  // namespace tessera
