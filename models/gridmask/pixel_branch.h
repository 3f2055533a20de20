// Pixel embeddings X [N, h, w, dim] from the feature pyramid.
// concat (the paper): a 1x1 convolution per level, resized to the first level, concatenated, fused by a 3x3, embedded
// by a 1x1. panoptic_fpn (Kirillov et al. 2019, the comparison of table 7): on P2..P5, 3x3 convolutions each followed
// by a resize to the next finer level until all have the size of P2, summed, one more 3x3, embedded by a 1x1. Names:
// reduce{level}, fuse, embed; p{level}.{i}, fuse, embed.
#pragma once

#include <functional>
#include <vector>

#include "layers/conv2d.h"
#include "models/gridmask/config.h"

namespace tessera {

class PixelBranch {
 public:
  // first_level: of the pyramid the detector runs on; channels of its maps.
  PixelBranch(const ParameterScope& scope, const GridMaskConfig& config, int first_level, int channels);

  // maps(level): [N, h, w, channels] of a level of the pyramid.
  Variable forward(Tape& tape, const std::function<Variable(int level)>& maps) const;

  int finest_level() const { return first_level_; }  // of the maps it reads
  int stride() const { return 1 << first_level_; }   // input pixels per pixel of X

 private:
  Variable fuse_by_concat(Tape& tape, const std::function<Variable(int level)>& maps) const;
  Variable fuse_by_sum(Tape& tape, const std::function<Variable(int level)>& maps) const;

  PixelBranchKind kind_;
  int first_level_;
  std::vector<std::vector<Conv2d>> levels_;  // convolutions of each level
  std::optional<Conv2d> fuse_, embed_;
};

}  // namespace tessera
