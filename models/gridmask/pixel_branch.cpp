#include "models/gridmask/pixel_branch.h"

#include <algorithm>

#include "engine/ops/add.h"
#include "engine/ops/concat.h"
#include "engine/ops/resize.h"

namespace tessera {

namespace {

constexpr int kPanopticFinest = 2;  // P2..P5
constexpr int kPanopticLevels = 4;

}  // namespace

PixelBranch::PixelBranch(const ParameterScope& scope, const GridMaskConfig& config, int first_level, int channels)
    : kind_(config.pixel), first_level_(kind_ == PixelBranchKind::concat ? first_level : kPanopticFinest) {
  const int width = config.pixel_channels;
  const auto conv = [&](const std::string& name, int in, int window) {
    return Conv2d(scope.child(name), {.in = in, .out = width, .window = window, .norm = config.pixel_norm});
  };
  int fused = width;
  if (kind_ == PixelBranchKind::concat) {
    for (int i = 0; i < config.pixel_levels; ++i) {
      levels_.emplace_back().push_back(conv(fmt::format("reduce{}", first_level_ + i), channels, 1));
    }
    fused = width * config.pixel_levels;
  } else {
    for (int i = 0; i < kPanopticLevels; ++i) {
      std::vector<Conv2d>& convs = levels_.emplace_back();
      for (int j = 0; j < std::max(i, 1); ++j) {
        convs.push_back(conv(fmt::format("p{}.{}", first_level_ + i, j), j == 0 ? channels : width, 3));
      }
    }
  }
  fuse_ = conv("fuse", fused, 3);
  embed_.emplace(scope.child("embed"),
                 Conv2dConfig{.in = width, .out = config.dim, .initializer = Initializer::kaiming_uniform()});
}

Variable PixelBranch::forward(Tape& tape, const std::function<Variable(int level)>& maps) const {
  const Variable fused = kind_ == PixelBranchKind::concat ? fuse_by_concat(tape, maps) : fuse_by_sum(tape, maps);
  return embed_->forward(tape, fuse_->forward(tape, fused, true));
}

Variable PixelBranch::fuse_by_concat(Tape& tape, const std::function<Variable(int level)>& maps) const {
  std::vector<Variable> parts;
  for (size_t i = 0; i < levels_.size(); ++i) {
    Variable part = levels_[i][0].forward(tape, maps(first_level_ + static_cast<int>(i)), true);
    if (i > 0) part = resize_bilinear(tape, part, parts[0].extent(1), parts[0].extent(2));
    parts.push_back(part);
  }
  return parts.size() == 1 ? parts[0] : concat_channels(tape, parts);
}

Variable PixelBranch::fuse_by_sum(Tape& tape, const std::function<Variable(int level)>& maps) const {
  Variable sum;
  for (size_t i = 0; i < levels_.size(); ++i) {
    const int level = first_level_ + static_cast<int>(i);
    Variable part = maps(level);
    for (size_t j = 0; j < levels_[i].size(); ++j) {
      part = levels_[i][j].forward(tape, part, true);
      if (i == 0) continue;
      const Variable finer = maps(level - 1 - static_cast<int>(j));
      part = resize_bilinear(tape, part, finer.extent(1), finer.extent(2));
    }
    sum = sum.defined() ? add(tape, sum, part) : part;
  }
  return sum;
}

}  // namespace tessera
