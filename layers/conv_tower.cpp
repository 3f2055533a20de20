#include "layers/conv_tower.h"

#include <algorithm>

namespace tessera {

ConvTower::ConvTower(const ParameterScope& scope, int channels, int count, int norm_groups) {
  for (int i = 0; i < count; ++i) {
    convs_.emplace_back(
        scope.child(std::to_string(3 * i)),
        Conv2dConfig{.in = channels, .out = channels, .window = 3, .initializer = Initializer::normal(0.01f)});
    norms_.emplace_back(scope.child(std::to_string(3 * i + 1)), channels, norm_groups);
  }
}

Pyramid ConvTower::forward(Tape& tape, const Pyramid& x) const { return forward_together(tape, {this}, x)[0]; }

std::vector<Pyramid> ConvTower::forward_together(Tape& tape, const std::vector<const ConvTower*>& towers,
                                                 const Pyramid& x) {
  std::vector<Pyramid> results(towers.size(), x);
  size_t layers = 0;
  for (const ConvTower* tower : towers) layers = std::max(layers, tower->convs_.size());
  for (size_t i = 0; i < layers; ++i) {
    std::vector<size_t> taller;
    std::vector<Conv2d::Branch> branches;
    for (size_t at = 0; at < towers.size(); ++at) {
      if (i >= towers[at]->convs_.size()) continue;
      taller.push_back(at);
      branches.push_back({&towers[at]->convs_[i], &towers[at]->norms_[i], results[at]});
    }
    std::vector<Pyramid> y = Conv2d::forward_together(tape, branches, true);
    for (size_t at = 0; at < taller.size(); ++at) results[taller[at]] = std::move(y[at]);
  }
  return results;
}

}  // namespace tessera
