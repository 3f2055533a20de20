#include "models/backbone/resnet.h"

#include "engine/ops/max_pool.h"

namespace tessera {

namespace {

// Frozen parts keep their statistics, too.
NormConfig norm_of(const ResNetConfig& config, bool frozen) {
  NormConfig norm = config.norm;
  if (frozen && norm.kind == NormKind::bn) norm.kind = NormKind::frozen_bn;
  return norm;
}

}  // namespace

ResNet::ResNet(const ParameterScope& scope, const ResNetConfig& config) {
  const ParameterScope stem = scope.child("stem");
  stem_.emplace(stem.child("conv1"), Conv2dConfig{.in = 3,
                                                  .out = config.stem_channels,
                                                  .window = 7,
                                                  .stride = 2,
                                                  .norm = norm_of(config, config.freeze_at >= 1)});
  if (config.freeze_at >= 1) stem.freeze();
  int in = config.stem_channels;
  for (size_t stage = 0; stage < config.blocks.size(); ++stage) {
    const ParameterScope stage_scope = scope.child(fmt::format("res{}", stage + 2));
    std::vector<Block>& blocks = stages_.emplace_back();
    for (int i = 0; i < config.blocks[stage]; ++i) {
      const int stride = i == 0 && stage > 0 ? 2 : 1;
      blocks.push_back(make_block(stage_scope.child(std::to_string(i)), config, static_cast<int>(stage), in, stride));
      in = config.channels[stage];
    }
    if (stage == 0 && config.freeze_at >= 2) stage_scope.freeze();
  }
}

ResNet::Block ResNet::make_block(const ParameterScope& scope, const ResNetConfig& config, int stage, int in,
                                 int stride) const {
  const NormConfig norm = norm_of(config, stage == 0 && config.freeze_at >= 2);
  const int out = config.channels[static_cast<size_t>(stage)];
  const auto conv = [&](const char* name, int from, int to, int window, int step, int groups = 1) {
    return Conv2d(scope.child(name),
                  {.in = from, .out = to, .window = window, .stride = step, .groups = groups, .norm = norm});
  };
  Block block;
  if (in != out || stride != 1) block.shortcut = conv("shortcut", in, out, 1, stride);
  if (config.block == ResNetConfig::Block::basic) {
    block.convs.push_back(conv("conv1", in, out, 3, stride));
    block.convs.push_back(conv("conv2", out, out, 3, 1));
  } else {
    const int middle = (config.groups * config.width_per_group) << stage;
    block.convs.push_back(conv("conv1", in, middle, 1, config.stride_in_1x1 ? stride : 1));
    block.convs.push_back(conv("conv2", middle, middle, 3, config.stride_in_1x1 ? 1 : stride, config.groups));
    block.convs.push_back(conv("conv3", middle, out, 1, 1));
  }
  return block;
}

std::vector<Variable> ResNet::forward(Tape& tape, const Variable& images) const {
  Variable x = max_pool(tape, stem_->forward(tape, images, true), {.window = 3, .stride = 2, .padding = 1});
  std::vector<Variable> outputs;
  for (const std::vector<Block>& stage : stages_) {
    for (const Block& block : stage) {
      const Variable residual = block.shortcut ? block.shortcut->forward(tape, x) : x;
      for (size_t i = 0; i + 1 < block.convs.size(); ++i) x = block.convs[i].forward(tape, x, true);
      x = block.convs.back().forward(tape, x, true, residual);
    }
    outputs.push_back(x);
  }
  return outputs;
}

}  // namespace tessera
