#include "layers/conv_tower.h"

namespace tessera {

ConvTower::ConvTower(const ParameterScope& scope, int channels, int count, int norm_groups) {
  for (int i = 0; i < count; ++i) {
    convs_.emplace_back(
        scope.child(std::to_string(3 * i)),
        Conv2dConfig{.in = channels, .out = channels, .window = 3, .initializer = Initializer::normal(0.01f)});
    norms_.emplace_back(scope.child(std::to_string(3 * i + 1)), channels, norm_groups);
  }
}

Pyramid ConvTower::forward(Tape& tape, Pyramid x) const {
  for (size_t i = 0; i < convs_.size(); ++i) x = convs_[i].forward(tape, x, norms_[i], true);
  return x;
}

}  // namespace tessera
