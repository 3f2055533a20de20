#include "models/model_config.h"

#include <algorithm>
#include <bit>

namespace tessera {

namespace {

[[noreturn]] void refuse(const std::string& reason, const std::string& hint) {
  throw Error(ExitCode::usage, reason, hint);
}

void require_range(const char* key, int value, int low, int high) {
  if (value < low || value > high) {
    refuse(fmt::format("{} = {}: must be from {} to {}", key, value, low, high),
           fmt::format("{}={}", key, std::clamp(value, low, high)));
  }
}

void require_multiple(const char* key, int value, const char* of_key, int of) {
  if (value >= of && value % of == 0) return;
  const int below = value / of * of;
  refuse(fmt::format("{} = {}: not a multiple of {} = {}", key, value, of_key, of),
         below > 0 ? fmt::format("{}={} or {}={}", key, below, key, below + of) : fmt::format("{}={}", key, of));
}

void require_positive(const char* key, float value, float example) {
  if (!(value > 0)) refuse(fmt::format("{} = {}: must be above 0", key, value), fmt::format("{}={}", key, example));
}

void validate_backbone(const ModelConfig& config) {
  const ResNetConfig& backbone = config.backbone;
  const size_t stages = backbone.blocks.size();
  if (stages != 3 && stages != 4) {
    refuse(fmt::format("model.backbone.blocks: {} stages, must be 3 or 4", stages), "model.backbone.blocks=[2,2,2]");
  }
  if (backbone.channels.size() != stages) {
    refuse(fmt::format("model.backbone.channels: {} values for {} stages of model.backbone.blocks",
                       backbone.channels.size(), stages),
           "one output width per stage, e.g. model.backbone.channels=[32,64,128]");
  }
  for (const int blocks : backbone.blocks) require_range("model.backbone.blocks", blocks, 1, 200);
  for (const int channels : backbone.channels) require_range("model.backbone.channels", channels, 1, 65536);
  require_range("model.backbone.stem_channels", backbone.stem_channels, 1, 65536);
  require_range("model.backbone.groups", backbone.groups, 1, 65536);
  require_range("model.backbone.width_per_group", backbone.width_per_group, 1, 65536);
  require_range("model.backbone.freeze_at", backbone.freeze_at, 0, 2);
  if (backbone.norm.kind == NormKind::none) {
    refuse("model.backbone.norm: the backbone needs a norm", "model.backbone.norm=gn");
  }
  if (backbone.norm.kind == NormKind::gn) {
    const int groups = backbone.norm.groups;
    require_multiple("model.backbone.stem_channels", backbone.stem_channels, "model.norm_groups", groups);
    for (const int channels : backbone.channels) {
      require_multiple("model.backbone.channels", channels, "model.norm_groups", groups);
    }
    if (backbone.block == ResNetConfig::Block::bottleneck) {
      require_multiple("model.backbone.groups * model.backbone.width_per_group",
                       backbone.groups * backbone.width_per_group, "model.norm_groups", groups);
    }
  }
}

void validate_gridmask(const ModelConfig& config) {
  const GridMaskConfig& gridmask = config.gridmask;
  require_range("model.gridmask.k", gridmask.k, 1, 16);
  require_range("model.gridmask.dim", gridmask.dim, 1, 256);
  require_positive("model.gridmask.alpha", gridmask.alpha, 5);
  if (gridmask.pixel_levels != 1 && gridmask.pixel_levels != 4) {
    refuse(fmt::format("model.gridmask.pixel.levels: {} levels, must be 1 or 4", gridmask.pixel_levels),
           fmt::format("model.gridmask.pixel.levels=[{}]", config.fpn.first_level));
  }
  require_range("model.gridmask.pixel.channels", gridmask.pixel_channels, 1, 65536);
  if (gridmask.pixel_norm.kind == NormKind::gn) {
    require_multiple("model.gridmask.pixel.channels", gridmask.pixel_channels, "model.norm_groups",
                     gridmask.pixel_norm.groups);
  }
  if (gridmask.pixel_norm.kind == NormKind::frozen_bn) {
    refuse("model.gridmask.pixel.norm: a frozen norm cannot be trained", "model.gridmask.pixel.norm=gn");
  }
  require_range("model.gridmask.object.hidden_convs", gridmask.hidden_convs, 0, 16);
  const int stride = gridmask.train_stride;
  if (stride < 1 || stride > 32 || !std::has_single_bit(static_cast<unsigned>(stride))) {
    const int below = std::clamp(static_cast<int>(std::bit_floor(static_cast<unsigned>(std::max(stride, 1)))), 1, 32);
    refuse(fmt::format("model.gridmask.train_stride = {}: must be 1, 2, 4, 8, 16 or 32", stride),
           fmt::format("model.gridmask.train_stride={}", below));
  }
  require_range("model.gridmask.max_positives", gridmask.max_positives, 1, 1 << 20);
  require_range("model.gridmask.topk_per_image", gridmask.topk_per_image, 1, 1 << 20);
}

void validate_fcos(const ModelConfig& config) {
  require_range("model.fpn.first_level", config.fpn.first_level, 2, 3);
  require_multiple("model.fpn.channels", config.fpn.channels, "model.norm_groups", config.fcos.norm_groups);
  require_range("model.fcos.tower_convs", config.fcos.tower_convs, 0, 16);
  require_positive("model.fcos.range_scale", config.fcos.range_scale, 1);
  if (!(config.fcos.nms_threshold >= 0 && config.fcos.nms_threshold <= 1)) {
    refuse(fmt::format("model.fcos.nms_threshold = {}: must be from 0 to 1", config.fcos.nms_threshold),
           "model.fcos.nms_threshold=0.6");
  }
  require_range("model.fcos.pre_nms_top_k", config.fcos.pre_nms_top_k, 1, 1 << 20);
  require_range("model.fcos.max_detections", config.fcos.max_detections, 1, 1 << 16);
}

void require_levels(const char* key, size_t count, const char* example) {
  constexpr int kLevels = AnchorFreeConfig::kLevels;
  if (count == kLevels) return;
  refuse(fmt::format("{}: {} values, must be {}: one a level of the pyramid", key, count, kLevels), example);
}

void require_share(const char* key, float value, float example) {
  if (!(value >= 0 && value <= 1)) {
    refuse(fmt::format("{} = {}: must be from 0 to 1", key, value), fmt::format("{}={}", key, example));
  }
}

void validate_anchor_free(const ModelConfig& config) {
  const AnchorFreeConfig& model = config.anchor_free;
  if (config.backbone.blocks.size() != 4) {
    refuse(fmt::format("model.backbone.blocks: {} stages; the anchor-free YOLACTR reads P2 to P5, which takes 4",
                       config.backbone.blocks.size()),
           "model.backbone.blocks=[1,1,1,1] and four model.backbone.channels");
  }
  require_multiple("model.fpn.channels", config.fpn.channels, "the width of an attention head",
                   AnchorFreeConfig::kHeadWidth);
  require_levels("model.anchor_free.grids", model.grids.size(), "model.anchor_free.grids=[40,36,24,16,12]");
  for (const int grid : model.grids) require_range("model.anchor_free.grids", grid, 1, 128);
  require_levels("model.anchor_free.ranges", model.ranges.size(),
                 "model.anchor_free.ranges=[1,96,48,192,96,384,192,768,384,2048]");
  for (const ScaleRange& range : model.ranges) {
    if (range.low < 0 || range.high < range.low) {
      refuse(fmt::format("model.anchor_free.ranges: [{}, {}] is no range", range.low, range.high),
             "pairs of a lower and a greater upper bound, level by level");
    }
  }
  require_levels("model.anchor_free.least_areas", model.least_areas.size(),
                 "model.anchor_free.least_areas=[8,8,16,32,32]");
  require_range("model.anchor_free.layers", model.layers, 0, 64);
  const int groups = model.norm_groups;
  require_range("model.anchor_free.mask_channels", model.mask_channels, 1, 65536);
  require_multiple("model.anchor_free.mask_channels", model.mask_channels, "model.norm_groups", groups);
  require_range("model.anchor_free.kernel_channels", model.kernel_channels, 1, 65536);
  require_multiple("model.anchor_free.kernel_channels", model.kernel_channels, "model.norm_groups", groups);
  require_range("model.anchor_free.semantic_level", model.semantic_level, 2, 5);
  if (model.mask_stride != 2 && model.mask_stride != 4) {
    refuse(fmt::format("model.anchor_free.mask_stride = {}: must be 2 or 4", model.mask_stride),
           "model.anchor_free.mask_stride=4");
  }
  require_share("model.anchor_free.sigma", model.sigma, 0.2f);
  require_share("model.anchor_free.score_threshold", model.score_threshold, 0.1f);
  require_share("model.anchor_free.mask_threshold", model.mask_threshold, 0.5f);
  require_share("model.anchor_free.nms_threshold", model.nms_threshold, 0.5f);
  require_share("model.anchor_free.keep_threshold", model.keep_threshold, 0.05f);
  require_positive("model.anchor_free.nms_sigma", model.nms_sigma, 2);
  require_range("model.anchor_free.measured", model.measured, 1, 1 << 20);
  require_range("model.anchor_free.candidates", model.candidates, 1, 1 << 20);
  require_range("model.anchor_free.max_detections", model.max_detections, 1, 1 << 16);
  require_range("model.anchor_free.chunk", model.chunk, 1, 1 << 16);
}

}  // namespace

ModelConfig resolved(ModelConfig config) {
  config.fcos.classes = config.anchor_free.classes = config.classes;
  config.fcos.channels = config.anchor_free.channels = config.fpn.channels;
  if (config.is_anchor_free()) {
    config.fpn.first_level = 2;
    config.fpn.top = FpnTop::max_pool;
    config.fpn.stacked = false;
    config.fpn.initializer = Initializer::xavier_uniform();
  }
  config.fpn.extra_p2 =
      config.has_masks() && config.gridmask.pixel == PixelBranchKind::panoptic_fpn && config.fpn.first_level > 2;
  return config;
}

void validate(const ModelConfig& config) {
  if (config.system != "gridmask_fcos" && config.system != "fcos" && !config.is_anchor_free()) {
    refuse(fmt::format("model.system = '{}' is not known", config.system),
           "model.system=gridmask_fcos, fcos or anchor_free_yolactr");
  }
  require_range("model.classes", config.classes, 1, 65536);
  require_range("model.size_divisor", config.size_divisor, 32, 1024);
  require_multiple("model.size_divisor", config.size_divisor, "the stride of res5", 32);
  validate_backbone(config);
  require_range("model.fpn.channels", config.fpn.channels, 1, 65536);
  if (config.is_anchor_free()) return validate_anchor_free(config);
  validate_fcos(config);
  if (config.has_masks()) validate_gridmask(config);
}

}  // namespace tessera
