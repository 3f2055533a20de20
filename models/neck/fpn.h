// Feature pyramid network (Lin et al. 2017) in the form of one-stage detectors: a 1x1 lateral on every used output of
// the backbone, nearest-neighbour top-down sums, a 3x3 output convolution, and further levels by stride-2 convolutions
// on the last output with a ReLU in front of all but the first, or by taking every second pixel of the last output (a
// max-pool of window 1, detectron2's LastLevelMaxPool). No norm. Names: fpn_lateral3, fpn_output3, top_block.p6.
#pragma once

#include <vector>

#include "layers/conv2d.h"

namespace tessera {

enum class FpnTop : uint8_t { convolutions, max_pool };  // levels above the last of the backbone

struct FpnConfig {
  static constexpr int kLevels = 5;  // of the pyramid the heads run on

  int channels = 256;
  int first_level = 3;  // of the pyramid, stride 2^3; 2 for small pictures
  FpnTop top = FpnTop::convolutions;
  Initializer initializer = Initializer::kaiming_uniform();
  bool stacked = true;    // the levels are also one pyramid, for heads that run on all of them
  bool extra_p2 = false;  // also P2 below a pyramid that starts at P3 (the panoptic pixel branch)

  int lowest_level() const { return extra_p2 ? 2 : first_level; }
  int top_level() const { return first_level + kLevels - 1; }
};

struct FpnFeatures {
  std::vector<Variable> maps;  // [N, h, w, channels] of the levels lowest_level, lowest_level + 1, ...
  int lowest_level = 3;
  Pyramid pyramid;  // levels first_level .. first_level + 4 as one; empty unless FpnConfig::stacked

  const Variable& map(int level) const {
    TESSERA_CHECK(level >= lowest_level && level < lowest_level + static_cast<int>(maps.size()), "level {}", level);
    return maps[static_cast<size_t>(level - lowest_level)];
  }
};

class Fpn {
 public:
  // backbone_channels: of the levels 2, 3, ...
  Fpn(const ParameterScope& scope, const FpnConfig& config, const std::vector<int>& backbone_channels);

  FpnFeatures forward(Tape& tape, const std::vector<Variable>& backbone_maps) const;

 private:
  FpnConfig config_;
  std::vector<Conv2d> lateral_, output_;  // from the lowest level up to the last of the backbone
  std::vector<Conv2d> top_;
};

}  // namespace tessera
