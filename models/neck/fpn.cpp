#include "models/neck/fpn.h"

#include <algorithm>

#include "engine/ops/max_pool.h"
#include "engine/ops/pyramid.h"
#include "engine/ops/relu.h"
#include "engine/ops/resize.h"

namespace tessera {

Fpn::Fpn(const ParameterScope& scope, const FpnConfig& config, const std::vector<int>& backbone_channels)
    : config_(config) {
  const int last = 1 + static_cast<int>(backbone_channels.size());
  TESSERA_CHECK(config.lowest_level() >= 2 && config.first_level <= last && last <= config.top_level(),
                "levels {}..{} on a backbone that ends at {}", config.first_level, config.top_level(), last);
  const auto conv = [&](const std::string& name, int in, int window, int stride) {
    return Conv2d(
        scope.child(name),
        {.in = in, .out = config.channels, .window = window, .stride = stride, .initializer = config.initializer});
  };
  for (int level = config.lowest_level(); level <= last; ++level) {
    lateral_.push_back(
        conv(fmt::format("fpn_lateral{}", level), backbone_channels[static_cast<size_t>(level - 2)], 1, 1));
    output_.push_back(conv(fmt::format("fpn_output{}", level), config.channels, 3, 1));
  }
  for (int level = last + 1; level <= config.top_level() && config.top == FpnTop::convolutions; ++level) {
    top_.push_back(conv(fmt::format("top_block.p{}", level), config.channels, 3, 2));
  }
}

FpnFeatures Fpn::forward(Tape& tape, const std::vector<Variable>& backbone_maps) const {
  const size_t skipped = static_cast<size_t>(config_.lowest_level() - 2);
  FpnFeatures features;
  features.maps.resize(lateral_.size());
  features.lowest_level = config_.lowest_level();
  Variable coarser;
  for (size_t i = lateral_.size(); i-- > 0;) {
    Variable merged = lateral_[i].forward(tape, backbone_maps.at(i + skipped));
    if (coarser.defined()) merged = resize_nearest_add(tape, coarser, merged);
    features.maps[i] = output_[i].forward(tape, merged);
    coarser = merged;
  }
  for (size_t i = 0; i < top_.size(); ++i) {
    const Variable below = features.maps.back();
    features.maps.push_back(top_[i].forward(tape, i == 0 ? below : relu(tape, below)));
  }
  while (features.maps.size() < static_cast<size_t>(config_.top_level() - config_.lowest_level() + 1)) {
    features.maps.push_back(max_pool(tape, features.maps.back(), {.window = 1, .stride = 2, .padding = 0}));
  }
  if (!config_.stacked) return features;
  const auto first = features.maps.begin() + (config_.first_level - config_.lowest_level());
  std::vector<int64_t> strides;
  for (int level = config_.first_level; level <= config_.top_level(); ++level) strides.push_back(int64_t{1} << level);
  features.pyramid = stack_pyramid(tape, std::vector<Variable>(first, features.maps.end()), strides);
  // From here on the levels are views of the pyramid, so that training keeps one copy of them.
  std::ranges::copy(pyramid_levels(tape, features.pyramid), first);
  return features;
}

}  // namespace tessera
