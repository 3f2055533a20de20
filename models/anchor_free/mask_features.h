// Mask features F [N, H / 4, W / 4, kernel channels] out of P2, P3, P4 and T5 (spec yolactr.md, section 3). CGR below
// is a 3x3 convolution without bias, group norm, ReLU. paper: the levels, reduced by CGRs, are summed at stride 8,
// those of other strides resized and weighted by channel-spatial attention (CS, after the resizing or before it), and
// come back to stride 4. sotr: a ladder of CGR and doubling per level, summed at stride 4. Names: reduce2..5, refine5,
// downsample2, refine34, upsample2, output, attention{2,4,5,_output}; levels.{i}.{j}, output.
#pragma once

#include <optional>
#include <vector>

#include "layers/channel_spatial_attention.h"
#include "layers/conv2d.h"
#include "models/anchor_free/config.h"

namespace tessera {

class MaskFeatures {
 public:
  MaskFeatures(const ParameterScope& scope, const AnchorFreeConfig& config);

  // [N, h, w, channels] of strides 4, 8, 16, 32; every one half of the one before.
  Variable forward(Tape& tape, const Variable& p2, const Variable& p3, const Variable& p4, const Variable& t5) const;

 private:
  Variable paper(Tape& tape, const Variable& p2, const Variable& p3, const Variable& p4, const Variable& t5) const;
  Variable sotr(Tape& tape, const std::vector<Variable>& maps) const;

  AnchorFreeConfig config_;
  std::optional<Conv2d> reduce2_, reduce3_, reduce4_, reduce5_, refine5_, downsample2_, refine34_, upsample2_, output_;
  std::optional<ChannelSpatialAttention> attention2_, attention4_, attention5_, attention_output_;
  std::vector<std::vector<Conv2d>> levels_;  // sotr
};

// [N, height, width, 2]: x, then y, from -1 at the first to 1 at the last cell.
Tensor coordinate_map(Context& context, int64_t images, int64_t height, int64_t width);

}  // namespace tessera
