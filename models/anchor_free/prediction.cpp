#include "models/anchor_free/prediction.h"

#include <cmath>
#include <optional>

#include "engine/autograd/recompute.h"
#include "engine/ops/add.h"
#include "engine/ops/concat.h"
#include "engine/ops/linear.h"
#include "engine/ops/position_add.h"
#include "engine/ops/pyramid.h"
#include "engine/ops/reshape.h"
#include "engine/ops/resize.h"
#include "engine/ops/scale.h"
#include "layers/activation_observer.h"

namespace tessera {

namespace {

// a above b, [A, C] and [B, C] -> [A + B, C].
Variable stacked_rows(Tape& tape, const Variable& a, const Variable& b, int64_t columns) {
  const int64_t first = a.value.elements(), second = b.value.elements();
  const Variable line = concat_channels(tape, {reshape(tape, a, {1, first}), reshape(tape, b, {1, second})});
  if (columns == 1) return reshape(tape, line, {first + second});
  return reshape(tape, line, {(first + second) / columns, columns});
}

Variable resized(Tape& tape, const Variable& x, int64_t height, int64_t width) {
  return x.extent(1) == height && x.extent(2) == width ? x : resize_bilinear(tape, x, height, width);
}

// A line of vectors [N, C] -> [count, C], as a map one pixel wide.
Variable resized_line(Tape& tape, const Variable& line, int64_t count) {
  if (line.extent(0) == count) return line;
  const int64_t channels = line.extent(1);
  const Variable map = reshape(tape, line, {1, line.extent(0), 1, channels});
  return reshape(tape, resize_bilinear(tape, map, count, 1), {count, channels});
}

// The map beside itself, and the mean of its halves.
Variable beside_itself(Tape& tape, const Variable& x) {
  const int64_t lines = x.extent(0) * x.extent(1), width = x.extent(2) * x.extent(3);
  const Variable flat = reshape(tape, x, {lines, width});
  return reshape(tape, concat_channels(tape, {flat, flat}), {x.extent(0), x.extent(1), 2 * x.extent(2), x.extent(3)});
}
Variable mean_of_halves(Tape& tape, const Variable& x) {
  const int64_t lines = x.extent(0) * x.extent(1), half = x.extent(2) / 2;
  const int64_t width = half * x.extent(3);
  const std::vector<Variable> halves = split_channels(tape, reshape(tape, x, {lines, 2 * width}), {width, width});
  return reshape(tape, scale(tape, add(tape, halves[0], halves[1]), 0.5f),
                 {x.extent(0), x.extent(1), half, x.extent(3)});
}

}  // namespace

PredictionNetwork::PredictionNetwork(const ParameterScope& scope, const AnchorFreeConfig& config) : config_(config) {
  const int channels = config.channels;
  for (size_t level = 0; config.position && level < config.grids.size(); ++level) {
    const ParameterScope place = scope.child(fmt::format("position.{}", level));
    const int64_t cells = config.grids[level];
    positions_.push_back(
        {&place.declare("row", {cells, channels}, ParameterRole::weight, Initializer::normal(1.0f)),
         &place.declare("column", {cells, channels}, ParameterRole::weight, Initializer::normal(1.0f))});
    if (!config.position_trainable) place.freeze();
  }
  for (int k = 0; k < config.layers; ++k) {
    layers_.push_back(make_transformer_layer(scope.child(fmt::format("transformer.{}", k)), config));
  }
  const Initializer weights = Initializer::uniform_fan_in();
  const ParameterScope classes = scope.child("class_logits"), kernel = scope.child("kernel");
  // Every class starts with the probability kClassPrior (RetinaNet).
  const float prior = std::log(AnchorFreeConfig::kClassPrior / (1 - AnchorFreeConfig::kClassPrior));
  class_weight_ = &classes.declare("weight", {config.logits(), channels}, ParameterRole::weight, weights);
  class_bias_ = &classes.declare("bias", {config.logits()}, ParameterRole::bias, Initializer::constant(prior));
  kernel_weight_ = &kernel.declare("weight", {config.kernel_channels, channels}, ParameterRole::weight, weights);
  kernel_bias_ = &kernel.declare("bias", {config.kernel_channels}, ParameterRole::bias,
                                 Initializer::uniform(1.0f / std::sqrt(static_cast<float>(channels))));
}

Variable PredictionNetwork::with_position(Tape& tape, const Variable& x, size_t level) const {
  if (positions_.empty()) return x;
  const Position& position = positions_[level];
  return position_add(tape, x, resized_line(tape, tape.parameter(*position.row), x.extent(1)),
                      resized_line(tape, tape.parameter(*position.column), x.extent(2)));
}

Variable PredictionNetwork::transform(Tape& tape, Variable x) const {
  if (config_.duplicate_width) x = beside_itself(tape, x);
  for (const auto& layer : layers_) {
    const auto run = [&layer](Tape& on, const Variable& in) { return layer->forward(on, in); };
    x = config_.recompute ? recompute(tape, x, run) : run(tape, x);
  }
  return config_.duplicate_width ? mean_of_halves(tape, x) : x;
}

CellPredictions PredictionNetwork::forward(Tape& tape, const std::vector<Variable>& maps) const {
  TESSERA_CHECK(maps.size() == AnchorFreeConfig::kLevels, "{} maps", maps.size());
  const Variable &p2 = maps[0], &p5 = maps[3];
  CellPredictions out;
  std::vector<int64_t> strides;
  std::vector<Variable> levels = {resized(tape, p2, p2.extent(1) / 2, p2.extent(2) / 2), maps[1], maps[2], p5,
                                  resized(tape, maps[4], p5.extent(1), p5.extent(2))};
  std::optional<Tape::Stage> stage(std::in_place, tape, "transformer");
  for (size_t level = 0; level < levels.size(); ++level) {
    const int64_t cells = config_.grids[level];
    levels[level] = transform(tape, with_position(tape, resized(tape, levels[level], cells, cells), level));
    strides.push_back(1);  // grids have no stride of their own
  }
  constexpr size_t kTokenLevel = AnchorFreeConfig::kTokenLevel;
  out.t5 = config_.token_from_grid ? resized(tape, levels[kTokenLevel], p5.extent(1), p5.extent(2))
                                   : transform(tape, with_position(tape, p5, kTokenLevel));
  stage.reset();
  stage.emplace(tape, "heads");
  const Pyramid cells = stack_pyramid(tape, levels, strides);
  out.geometry = cells.geometry;
  // Both heads in one matrix product.
  const Variable weight =
      stacked_rows(tape, tape.parameter(*class_weight_), tape.parameter(*kernel_weight_), config_.channels);
  const Variable bias = stacked_rows(tape, tape.parameter(*class_bias_), tape.parameter(*kernel_bias_), 1);
  const std::vector<Variable> heads =
      split_channels(tape, linear(tape, cells.rows, weight, bias), {config_.logits(), config_.kernel_channels});
  out.logits = heads[0];
  out.kernels = heads[1];
  observe_activation(tape, *class_weight_, Pyramid{out.logits, out.geometry}, false);
  observe_activation(tape, *kernel_weight_, Pyramid{out.kernels, out.geometry}, false);
  return out;
}

}  // namespace tessera
