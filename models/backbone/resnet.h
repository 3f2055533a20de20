// ResNet and ResNeXt (He et al. 2015, Xie et al. 2016) without classifier: a stem (7x7 stride 2, max-pool stride 2) and
// three or four stages res2, res3, ... of bottleneck or two-convolution blocks. Names are detectron2's:
// stem.conv1.weight, res2.0.conv1.norm.weight, res2.0.shortcut.weight.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "layers/conv2d.h"

namespace tessera {

struct ResNetConfig {
  enum class Block : uint8_t { bottleneck, basic };

  Block block = Block::bottleneck;
  std::vector<int> blocks = {3, 4, 6, 3};              // of res2, res3, ...: three or four stages
  std::vector<int> channels = {256, 512, 1024, 2048};  // of their outputs
  int stem_channels = 64;
  int groups = 1;            // of the 3x3 convolution of a bottleneck
  int width_per_group = 64;  // in res2; doubled by every stage
  // Where the first block of res3, res4 and res5 strides: the first 1x1 (the original weights) or the 3x3 (torchvision,
  // every ResNeXt). A property of the weights, never a free choice.
  bool stride_in_1x1 = true;
  NormConfig norm = {.kind = NormKind::frozen_bn};
  int freeze_at = 2;  // 0 nothing, 1 the stem, 2 the stem and res2: neither trained nor recorded

  int last_level() const { return 1 + static_cast<int>(blocks.size()); }  // 5 for res5, whose stride is 2^5
};

// "r50", "r101", "x101_64x4d", "x101_32x8d": the published networks; "basic": a small one of two-convolution blocks
// with group norm, to train from scratch on a CPU. Throws Error(usage) for other names.
ResNetConfig resnet_preset(std::string_view name);
const std::vector<std::string>& resnet_preset_names();

class ResNet {
 public:
  ResNet(const ParameterScope& scope, const ResNetConfig& config);

  // images [N, H, W, 3] -> outputs of res2, res3, ... [N, ceil(H / 2^l), ceil(W / 2^l), channels], l = 2, 3, ...
  std::vector<Variable> forward(Tape& tape, const Variable& images) const;

 private:
  struct Block {
    std::vector<Conv2d> convs;  // in order; ReLU after each, after the last together with the sum
    std::optional<Conv2d> shortcut;
  };
  Block make_block(const ParameterScope& scope, const ResNetConfig& config, int stage, int in, int stride) const;

  std::optional<Conv2d> stem_;
  std::vector<std::vector<Block>> stages_;
};

}  // namespace tessera
