#include "models/anchor_free/mask_features.h"

#include <algorithm>

#include "engine/ops/add.h"
#include "engine/ops/concat.h"
#include "engine/ops/resize.h"

namespace tessera {

namespace {

constexpr int kSotrLevels = 4;  // P2, P3, P4, T5

Variable doubled(Tape& tape, const Variable& x) { return resize_bilinear(tape, x, 2 * x.extent(1), 2 * x.extent(2)); }

}  // namespace

Tensor coordinate_map(Context& context, int64_t images, int64_t height, int64_t width) {
  std::vector<float> values;
  const auto coordinate = [](int64_t index, int64_t count) {
    return count > 1 ? 2.0f * static_cast<float>(index) / static_cast<float>(count - 1) - 1.0f : -1.0f;
  };
  for (int64_t i = 0; i < images * height; ++i) {
    for (int64_t x = 0; x < width; ++x) {
      values.push_back(coordinate(x, width));
      values.push_back(coordinate(i % height, height));
    }
  }
  return Tensor::constant<float>(context, {images, height, width, 2}, values);
}

MaskFeatures::MaskFeatures(const ParameterScope& scope, const AnchorFreeConfig& config) : config_(config) {
  const int width = config.mask_channels;
  const NormConfig norm{.kind = NormKind::gn, .groups = config.norm_groups};
  const auto conv = [&](const std::string& name, int in, int out, int window, int stride) {
    return Conv2d(scope.child(name), {.in = in,
                                      .out = out,
                                      .window = window,
                                      .stride = stride,
                                      .norm = norm,
                                      .initializer = Initializer::normal(0.01f)});
  };
  const int coordinates = config.coord_conv ? 2 : 0;
  if (config.mask_head == MaskHead::sotr) {
    for (int level = 0; level < kSotrLevels; ++level) {
      std::vector<Conv2d>& convs = levels_.emplace_back();
      for (int i = 0; i < std::max(level, 1); ++i) {
        const int in = i > 0 ? width : config.channels + (level == kSotrLevels - 1 ? coordinates : 0);
        convs.push_back(conv(fmt::format("levels.{}.{}", level, i), in, width, 3, 1));
      }
    }
  } else {
    reduce2_ = conv("reduce2", config.channels, width, 3, 1);
    reduce3_ = conv("reduce3", config.channels, width, 3, 1);
    reduce4_ = conv("reduce4", config.channels, width, 3, 1);
    reduce5_ = conv("reduce5", config.channels + coordinates, width, 3, 1);
    refine5_ = conv("refine5", width, width, 3, 1);
    downsample2_ = conv("downsample2", width, width, 3, 2);
    refine34_ = conv("refine34", width, width, 3, 1);
    upsample2_ = conv("upsample2", width, width, 3, 1);
    attention2_.emplace(scope.child("attention2"), width);
    attention4_.emplace(scope.child("attention4"), width);
    attention5_.emplace(scope.child("attention5"), width);
    attention_output_.emplace(scope.child("attention_output"), width);
  }
  output_ = conv("output", width, config.kernel_channels, 1, 1);
}

Variable MaskFeatures::forward(Tape& tape, const Variable& p2, const Variable& p3, const Variable& p4,
                               const Variable& t5) const {
  Variable top = t5;
  if (config_.coord_conv) {
    top = concat_channels(tape, {t5, coordinate_map(tape.context(), t5.extent(0), t5.extent(1), t5.extent(2))});
  }
  return output_->forward(tape, levels_.empty() ? paper(tape, p2, p3, p4, top) : sotr(tape, {p2, p3, p4, top}), true);
}

Variable MaskFeatures::paper(Tape& tape, const Variable& p2, const Variable& p3, const Variable& p4,
                             const Variable& t5) const {
  const bool after = config_.attention_position == AttentionPosition::after;
  const Variable p21 = reduce2_->forward(tape, p2, true);
  // The paper's P32, P33 and P34: P31 and what is added to it.
  Variable sum = reduce3_->forward(tape, p3, true);
  {
    const Variable p41 = reduce4_->forward(tape, p4, true);
    sum = add(tape, sum,
              after ? attention4_->forward(tape, doubled(tape, p41)) : doubled(tape, attention4_->forward(tape, p41)));
  }
  {
    const Variable p51 = refine5_->forward(tape, doubled(tape, reduce5_->forward(tape, t5, true)), true);
    sum = add(tape, sum,
              after ? attention5_->forward(tape, doubled(tape, p51)) : doubled(tape, attention5_->forward(tape, p51)));
  }
  sum = add(tape, sum,
            after ? attention2_->forward(tape, downsample2_->forward(tape, p21, true))
                  : downsample2_->forward(tape, attention2_->forward(tape, p21), true));
  const Variable p34 = doubled(tape, refine34_->forward(tape, sum, true));
  return attention_output_->forward(tape, add(tape, p21, upsample2_->forward(tape, p34, true)));
}

Variable MaskFeatures::sotr(Tape& tape, const std::vector<Variable>& maps) const {
  Variable sum;
  for (size_t level = 0; level < levels_.size(); ++level) {
    Variable x = maps[level];
    for (const Conv2d& conv : levels_[level]) {
      x = conv.forward(tape, x, true);
      if (level > 0) x = doubled(tape, x);
    }
    sum = sum.defined() ? add(tape, sum, x) : x;
  }
  return sum;
}

}  // namespace tessera
