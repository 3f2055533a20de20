#include "models/config_keys.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tessera {

namespace {

constexpr const char* kPreset = "preset";    // as the backbone preset has it
constexpr const char* kVariant = "variant";  // as the FCOS variant has it

// The choice of an enumeration key: its names in the order of the values.
template <typename T, size_t N>
using Names = std::array<std::pair<const char*, T>, N>;

constexpr Names<NormKind, 4> kNorms = {
    {{"none", NormKind::none}, {"frozen_bn", NormKind::frozen_bn}, {"bn", NormKind::bn}, {"gn", NormKind::gn}}};
constexpr Names<ResNetConfig::Block, 2> kBlocks = {
    {{"bottleneck", ResNetConfig::Block::bottleneck}, {"basic", ResNetConfig::Block::basic}}};
constexpr Names<bool, 2> kStrideIn = {{{"1x1", true}, {"3x3", false}}};
constexpr Names<RegressionActivation, 2> kActivations = {
    {{"relu", RegressionActivation::relu}, {"exp", RegressionActivation::exp}}};
constexpr Names<RegressionUnit, 2> kUnits = {{{"stride", RegressionUnit::stride}, {"pixel", RegressionUnit::pixel}}};
constexpr Names<bool, 2> kCenternessOn = {{{"regression", true}, {"classification", false}}};
constexpr Names<IouLossKind, 3> kBoxLosses = {
    {{"giou", IouLossKind::giou}, {"iou", IouLossKind::iou}, {"linear_iou", IouLossKind::linear_iou}}};
constexpr Names<BoxQuality, 2> kQualities = {{{"centerness", BoxQuality::centerness}, {"iou", BoxQuality::iou}}};
constexpr Names<ScoreThreshold, 3> kThresholds = {{{"classification", ScoreThreshold::classification},
                                                   {"joint", ScoreThreshold::joint},
                                                   {"square_root", ScoreThreshold::square_root}}};
constexpr Names<bool, 2> kScores = {{{"square_root", true}, {"product", false}}};
constexpr Names<PixelBranchKind, 2> kPixelKinds = {
    {{"concat", PixelBranchKind::concat}, {"panoptic_fpn", PixelBranchKind::panoptic_fpn}}};
constexpr Names<Positives, 2> kPositives = {
    {{"random", Positives::random}, {"topk_per_image", Positives::topk_per_image}}};
constexpr Names<TrainMask, 2> kTrainMasks = {{{"sampled", TrainMask::sampled}, {"coverage", TrainMask::coverage}}};
constexpr Names<TrainBox, 3> kTrainBoxes = {
    {{"gt", TrainBox::gt}, {"pred", TrainBox::pred}, {"jitter", TrainBox::jitter}}};
constexpr Names<EmptyCellNorm, 2> kEmptyCellNorms = {
    {{"nonempty", EmptyCellNorm::nonempty}, {"literal", EmptyCellNorm::literal}}};

constexpr Names<TransformerBlock, 2> kTransformerBlocks = {
    {{"hybrid_rezero", TransformerBlock::hybrid_rezero}, {"preln_mlp", TransformerBlock::preln_mlp}}};
constexpr Names<bool, 2> kTokens = {{{"native", false}, {"grid", true}}};
constexpr Names<MaskHead, 2> kMaskHeads = {{{"paper", MaskHead::paper}, {"sotr", MaskHead::sotr}}};
constexpr Names<AttentionPosition, 2> kAttentionPositions = {
    {{"after", AttentionPosition::after}, {"before", AttentionPosition::before}}};
constexpr Names<ClassLoss, 2> kClassLosses = {{{"focal", ClassLoss::focal}, {"ce", ClassLoss::ce}}};
constexpr Names<MaskLoss, 2> kMaskLosses = {{{"dice", MaskLoss::dice}, {"bce", MaskLoss::bce}}};
constexpr Names<MaskSuppression, 3> kSuppressions = {{{"matrix_gaussian", MaskSuppression::matrix_gaussian},
                                                      {"matrix_linear", MaskSuppression::matrix_linear},
                                                      {"mask", MaskSuppression::mask}}};

// first: an additional choice that means "as elsewhere", or null.
template <typename T, size_t N>
std::vector<std::string> choices(const Names<T, N>& names, const char* first = nullptr) {
  std::vector<std::string> texts;
  if (first) texts.emplace_back(first);
  for (const auto& [name, value] : names) texts.emplace_back(name);
  return texts;
}

template <typename T, size_t N>
void read_choice(const Config& config, const char* key, const Names<T, N>& names, T& value) {
  const std::string& text = config.get_string(key);
  for (const auto& [name, named] : names) {
    if (text == name) value = named;
  }
}

int read_int(const Config& config, const char* key) { return static_cast<int>(config.get_int(key)); }
float read_float(const Config& config, const char* key) { return static_cast<float>(config.get_number(key)); }

// 0 leaves the value alone.
void read_positive(const Config& config, const char* key, int& value) {
  if (const int read = read_int(config, key); read > 0) value = read;
}
// Negative leaves the value alone.
void read_not_negative(const Config& config, const char* key, float& value) {
  if (const float read = read_float(config, key); read >= 0) value = read;
}
void read_list(const Config& config, const char* key, std::vector<int>& value) {
  const std::vector<int64_t>& read = config.get_ints(key);
  if (!read.empty()) value.assign(read.begin(), read.end());
}

ResNetConfig backbone_from(const Config& config, int norm_groups) {
  ResNetConfig backbone = resnet_preset(config.get_string("model.backbone.preset"));
  read_choice(config, "model.backbone.block", kBlocks, backbone.block);
  read_list(config, "model.backbone.blocks", backbone.blocks);
  read_list(config, "model.backbone.channels", backbone.channels);
  read_positive(config, "model.backbone.stem_channels", backbone.stem_channels);
  read_positive(config, "model.backbone.groups", backbone.groups);
  read_positive(config, "model.backbone.width_per_group", backbone.width_per_group);
  read_choice(config, "model.backbone.stride_in", kStrideIn, backbone.stride_in_1x1);
  read_choice(config, "model.backbone.norm", kNorms, backbone.norm.kind);
  read_not_negative(config, "model.backbone.norm_epsilon", backbone.norm.epsilon);
  backbone.norm.groups = norm_groups;
  if (const int freeze = read_int(config, "model.backbone.freeze_at"); freeze >= 0) backbone.freeze_at = freeze;
  return backbone;
}

FcosConfig fcos_from(const Config& config, int norm_groups, int first_level) {
  FcosConfig fcos = fcos_variant(config.get_string("model.fcos.variant"));
  fcos.norm_groups = norm_groups;
  fcos.tower_convs = read_int(config, "model.fcos.tower_convs");
  fcos.range_scale = read_float(config, "model.fcos.range_scale");
  if (fcos.range_scale == 0) fcos.range_scale = first_level == 2 ? 0.5f : 1.0f;  // 2^(first_level - 3)
  read_choice(config, "model.fcos.activation", kActivations, fcos.activation);
  read_choice(config, "model.fcos.unit", kUnits, fcos.unit);
  read_choice(config, "model.fcos.centerness_on", kCenternessOn, fcos.centerness_on_regression);
  read_not_negative(config, "model.fcos.center_radius", fcos.center_radius);
  read_choice(config, "model.fcos.box_loss", kBoxLosses, fcos.box_loss);
  read_choice(config, "model.fcos.box_quality", kQualities, fcos.box_quality);
  read_not_negative(config, "model.fcos.score_threshold", fcos.score_threshold);
  read_choice(config, "model.fcos.threshold_on", kThresholds, fcos.threshold_on);
  read_choice(config, "model.fcos.score", kScores, fcos.square_root_score);
  read_not_negative(config, "model.fcos.nms_threshold", fcos.nms_threshold);
  fcos.pre_nms_top_k = read_int(config, "model.fcos.pre_nms_top_k");
  fcos.max_detections = read_int(config, "model.fcos.max_detections");
  return fcos;
}

// [] or the levels first_level .. first_level + 3, or the first alone.
int pixel_level_count(const Config& config, int first_level) {
  const std::vector<int64_t>& levels = config.get_ints("model.gridmask.pixel.levels");
  if (levels.empty()) return 4;
  bool from_first = levels.size() == 1 || levels.size() == 4;
  for (size_t i = 0; i < levels.size(); ++i)
    from_first = from_first && levels[i] == first_level + static_cast<int64_t>(i);
  if (!from_first) {
    throw Error(
        ExitCode::usage,
        fmt::format("model.gridmask.pixel.levels: must be the first level of the pyramid, {}, or the first four",
                    first_level),
        fmt::format("model.gridmask.pixel.levels=[{}] or [{},{},{},{}]", first_level, first_level, first_level + 1,
                    first_level + 2, first_level + 3));
  }
  return static_cast<int>(levels.size());
}

GridMaskConfig gridmask_from(const Config& config, int norm_groups, int first_level) {
  GridMaskConfig gridmask;
  gridmask.k = read_int(config, "model.gridmask.k");
  gridmask.dim = read_int(config, "model.gridmask.dim");
  gridmask.alpha = read_float(config, "model.gridmask.alpha");
  read_choice(config, "model.gridmask.pixel.type", kPixelKinds, gridmask.pixel);
  gridmask.pixel_levels = pixel_level_count(config, first_level);
  gridmask.pixel_channels = read_int(config, "model.gridmask.pixel.channels");
  read_choice(config, "model.gridmask.pixel.norm", kNorms, gridmask.pixel_norm.kind);
  gridmask.pixel_norm.groups = norm_groups;
  gridmask.hidden_convs = read_int(config, "model.gridmask.object.hidden_convs");
  gridmask.norm_groups = norm_groups;
  gridmask.train_stride = read_int(config, "model.gridmask.train_stride");
  read_choice(config, "model.gridmask.train_box", kTrainBoxes, gridmask.train_box);
  read_choice(config, "model.gridmask.train_mask", kTrainMasks, gridmask.train_mask);
  read_choice(config, "model.gridmask.empty_cell_norm", kEmptyCellNorms, gridmask.empty_cell_norm);
  read_choice(config, "model.gridmask.positives", kPositives, gridmask.positives);
  gridmask.max_positives = read_int(config, "model.gridmask.max_positives");
  gridmask.topk_per_image = read_int(config, "model.gridmask.topk_per_image");
  return gridmask;
}

// [low, high] of the levels, one after the other.
std::vector<ScaleRange> ranges_from(const std::vector<double>& bounds) {
  if (bounds.size() % 2 != 0) {
    throw Error(ExitCode::usage, fmt::format("model.anchor_free.ranges: {} values are no pairs", bounds.size()),
                "model.anchor_free.ranges=[1,96,48,192,96,384,192,768,384,2048]");
  }
  std::vector<ScaleRange> ranges;
  for (size_t i = 0; i < bounds.size(); i += 2) {
    ranges.push_back({static_cast<float>(bounds[i]), static_cast<float>(bounds[i + 1])});
  }
  return ranges;
}

AnchorFreeConfig anchor_free_from(const Config& config, int norm_groups) {
  AnchorFreeConfig model;
  model.norm_groups = norm_groups;
  read_list(config, "model.anchor_free.grids", model.grids);
  model.ranges = ranges_from(config.get_numbers("model.anchor_free.ranges"));
  model.layers = read_int(config, "model.anchor_free.layers");
  read_choice(config, "model.anchor_free.block", kTransformerBlocks, model.block);
  model.duplicate_width = config.get_bool("model.anchor_free.duplicate_width");
  model.position = config.get_bool("model.anchor_free.position.enabled");
  model.position_trainable = config.get_bool("model.anchor_free.position.trainable");
  model.recompute = config.get_bool("model.anchor_free.recompute");
  read_choice(config, "model.anchor_free.t5", kTokens, model.token_from_grid);
  read_choice(config, "model.anchor_free.mask_head", kMaskHeads, model.mask_head);
  read_choice(config, "model.anchor_free.cs_position", kAttentionPositions, model.attention_position);
  model.mask_channels = read_int(config, "model.anchor_free.mask_channels");
  model.kernel_channels = read_int(config, "model.anchor_free.kernel_channels");
  model.coord_conv = config.get_bool("model.anchor_free.coord_conv");
  model.semantic = config.get_bool("model.anchor_free.semantic.enabled");
  model.semantic_level = read_int(config, "model.anchor_free.semantic.level");
  model.sigma = read_float(config, "model.anchor_free.sigma");
  model.unique_cells = config.get_bool("model.anchor_free.unique_cells");
  model.mask_stride = read_int(config, "model.anchor_free.mask_stride");
  read_choice(config, "model.anchor_free.class_loss", kClassLosses, model.class_loss);
  read_choice(config, "model.anchor_free.mask_loss", kMaskLosses, model.mask_loss);
  model.dice_squared = config.get_bool("model.anchor_free.dice_squared");
  model.class_weight = read_float(config, "model.anchor_free.class_weight");
  model.mask_weight = read_float(config, "model.anchor_free.mask_weight");
  model.semantic_weight = read_float(config, "model.anchor_free.semantic.weight");
  model.score_threshold = read_float(config, "model.anchor_free.score_threshold");
  model.mask_threshold = read_float(config, "model.anchor_free.mask_threshold");
  read_list(config, "model.anchor_free.least_areas", model.least_areas);
  model.measured = read_int(config, "model.anchor_free.measured");
  model.candidates = read_int(config, "model.anchor_free.candidates");
  read_choice(config, "model.anchor_free.suppression", kSuppressions, model.suppression);
  model.nms_sigma = read_float(config, "model.anchor_free.nms_sigma");
  model.nms_threshold = read_float(config, "model.anchor_free.nms_threshold");
  model.keep_threshold = read_float(config, "model.anchor_free.keep_threshold");
  model.max_detections = read_int(config, "model.anchor_free.max_detections");
  model.chunk = read_int(config, "model.anchor_free.chunk");
  return model;
}

ConfigTable anchor_free_keys() {
  using Key = ConfigKey;
  return {
      Key::integers("model.anchor_free.grids", {40, 36, 24, 16, 12}, 1, 128, "cells along a side, level by level"),
      Key::numbers("model.anchor_free.ranges", {1, 96, 48, 192, 96, 384, 192, 768, 384, 2048}, 0, 1e9,
                   "least and greatest sqrt(width * height) of the objects of each level, pairs"),
      Key::integer("model.anchor_free.layers", 6, 0, 64, "transformer layers"),
      Key::choice("model.anchor_free.block", "hybrid_rezero", choices(kTransformerBlocks), "kind of transformer layer"),
      Key::boolean("model.anchor_free.duplicate_width", false, "SOTR's code: the map beside itself, halves averaged"),
      Key::boolean("model.anchor_free.position.enabled", true, "row and column embeddings on the grids"),
      Key::boolean("model.anchor_free.position.trainable", true, "false: they keep their random start"),
      Key::boolean("model.anchor_free.recompute", false, "layers are computed again in backward: less memory"),
      Key::choice("model.anchor_free.t5", "native", choices(kTokens),
                  "T5 by a run of the transformer on P5, or out of its grid"),
      Key::choice("model.anchor_free.mask_head", "paper", choices(kMaskHeads), "form of the mask network"),
      Key::choice("model.anchor_free.cs_position", "after", choices(kAttentionPositions),
                  "channel-spatial attention before or after the sampling"),
      Key::integer("model.anchor_free.mask_channels", 128, 1, 65536, "width of the mask network"),
      Key::integer("model.anchor_free.kernel_channels", 256, 1, 65536, "of the mask features, and numbers of a kernel"),
      Key::boolean("model.anchor_free.coord_conv", false, "coordinates beside T5 in the mask network"),
      Key::boolean("model.anchor_free.semantic.enabled", true, "auxiliary head, in training only"),
      Key::integer("model.anchor_free.semantic.level", 3, 2, 5, "level of the pyramid it reads"),
      Key::number("model.anchor_free.semantic.weight", 0.8, 0, 1000, "weight of its loss"),
      Key::number("model.anchor_free.sigma", 0.2, 0, 1, "centre region as a share of the box"),
      Key::boolean("model.anchor_free.unique_cells", false, "a cell learns the mask of its last object only"),
      Key::integer("model.anchor_free.mask_stride", 4, 2, 4, "input pixels per pixel of the mask loss, 4 or 2"),
      Key::choice("model.anchor_free.class_loss", "focal", choices(kClassLosses),
                  "sigmoid focal, or softmax cross entropy with background"),
      Key::number("model.anchor_free.class_weight", 1, 0, 1000, "weight of the class loss"),
      Key::choice("model.anchor_free.mask_loss", "dice", choices(kMaskLosses), "loss of the masks"),
      Key::boolean("model.anchor_free.dice_squared", true, "squares in the divisor; false: as the paper prints it"),
      Key::number("model.anchor_free.mask_weight", 3, 0, 1000, "weight of the mask loss"),
      Key::number("model.anchor_free.score_threshold", 0.1, 0, 1, "cells need a greater class score"),
      Key::number("model.anchor_free.mask_threshold", 0.5, 0, 1, "pixels need a greater probability"),
      Key::integers("model.anchor_free.least_areas", {8, 8, 16, 32, 32}, 0, 1 << 20,
                    "masks need more pixels at stride 4, level by level"),
      Key::integer("model.anchor_free.measured", 512, 1, 1 << 20, "best candidates whose masks are made"),
      Key::integer("model.anchor_free.candidates", 500, 1, 1 << 20, "best masks that enter suppression"),
      Key::choice("model.anchor_free.suppression", "matrix_gaussian", choices(kSuppressions),
                  "matrix NMS, or greedy removal of overlapping masks"),
      Key::number("model.anchor_free.nms_sigma", 2, 1e-6, 1e6, "of matrix_gaussian"),
      Key::number("model.anchor_free.nms_threshold", 0.5, 0, 1, "of greedy removal: greater overlaps go"),
      Key::number("model.anchor_free.keep_threshold", 0.05, 0, 1, "least score after matrix NMS"),
      Key::integer("model.anchor_free.max_detections", 100, 1, 65536, "per picture"),
      Key::integer("model.anchor_free.chunk", 256, 1, 65536, "masks that exist at once at inference"),
  };
}

}  // namespace

ConfigTable model_config_keys() {
  using Key = ConfigKey;
  constexpr int64_t kMaxChannels = 65536;
  const ConfigTable composed = {
      Key::choice("model.system", "gridmask_fcos", {"gridmask_fcos", "fcos", "anchor_free_yolactr"},
                  "instance masks on a detector, boxes alone, or masks without boxes"),
      Key::integer("model.classes", 80, 1, 65536, "number of classes"),
      Key::integer("model.size_divisor", 32, 32, 1024, "batches are padded to a multiple of it"),
      Key::integer("model.norm_groups", 32, 1, kMaxChannels, "groups of every group norm"),

      Key::choice("model.backbone.preset", "r50", resnet_preset_names(), "what the other backbone keys start from"),
      Key::choice("model.backbone.block", kPreset, choices(kBlocks, kPreset), "kind of residual block"),
      Key::integers("model.backbone.blocks", {}, 1, 200, "blocks of res2, res3, ...; [] = preset"),
      Key::integers("model.backbone.channels", {}, 1, kMaxChannels, "output channels of the stages; [] = preset"),
      Key::integer("model.backbone.stem_channels", 0, 0, kMaxChannels, "channels of the stem; 0 = preset"),
      Key::integer("model.backbone.groups", 0, 0, kMaxChannels, "groups of the 3x3 of a bottleneck; 0 = preset"),
      Key::integer("model.backbone.width_per_group", 0, 0, kMaxChannels, "channels per group in res2; 0 = preset"),
      Key::choice("model.backbone.stride_in", kPreset, choices(kStrideIn, kPreset),
                  "which convolution of a bottleneck strides; given by the weights"),
      Key::choice("model.backbone.norm", kPreset, {kPreset, "frozen_bn", "bn", "gn"}, "norm of the backbone"),
      Key::number("model.backbone.norm_epsilon", 1e-5, 0, 1, "of batch norms; given by the weights"),
      Key::integer("model.backbone.freeze_at", -1, -1, 2, "0 nothing, 1 stem, 2 stem and res2; -1 = preset"),

      Key::integer("model.fpn.channels", 256, 1, kMaxChannels, "channels of the pyramid and of the heads"),
      Key::integer("model.fpn.first_level", 3, 2, 3, "first of five levels: 3 (stride 8), or 2 for small pictures"),

      Key::choice("model.fcos.variant", "adelaidet", fcos_variant_names(), "what the other detector keys start from"),
      Key::integer("model.fcos.tower_convs", 4, 0, 16, "convolutions of a tower"),
      Key::number("model.fcos.range_scale", 0, 0, 1000,
                  "multiplies the size bounds 64, 128, 256, 512 between levels; 0 = 2^(first_level - 3)"),
      Key::choice("model.fcos.activation", kVariant, choices(kActivations, kVariant), "of the box distances"),
      Key::choice("model.fcos.unit", kVariant, choices(kUnits, kVariant), "of the box distances"),
      Key::choice("model.fcos.centerness_on", kVariant, choices(kCenternessOn, kVariant), "tower the centerness reads"),
      Key::number("model.fcos.center_radius", -1, -1, 1000,
                  "centre sampling radius in strides; 0 = the whole box; -1 = variant"),
      Key::choice("model.fcos.box_loss", kVariant, choices(kBoxLosses, kVariant), "loss of the boxes"),
      Key::choice("model.fcos.box_quality", "centerness", choices(kQualities), "what the third branch learns"),
      Key::number("model.fcos.score_threshold", -1, -1, 1, "detections below are dropped; -1 = variant"),
      Key::choice("model.fcos.threshold_on", kVariant, choices(kThresholds, kVariant), "what is compared with it"),
      Key::choice("model.fcos.score", kVariant, choices(kScores, kVariant), "of class probability and centerness"),
      Key::integer("model.fcos.pre_nms_top_k", 1000, 1, 1 << 20, "candidates per level"),
      Key::number("model.fcos.nms_threshold", -1, -1, 1, "greater overlaps are suppressed; -1 = variant"),
      Key::integer("model.fcos.max_detections", 100, 1, 65536, "per picture"),

      Key::integer("model.gridmask.k", 3, 1, 16, "grid cells along a side of a box"),
      Key::integer("model.gridmask.dim", 16, 1, 256, "channels of an embedding"),
      Key::number("model.gridmask.alpha", 5, 0.001, 1000, "sharpness of the projection sigmoid(alpha x)"),
      Key::choice("model.gridmask.pixel.type", "concat", choices(kPixelKinds), "form of the pixel branch"),
      Key::integers("model.gridmask.pixel.levels", {}, 2, 6,
                    "fused pyramid levels: the first four, or the first; [] = four"),
      Key::integer("model.gridmask.pixel.channels", 128, 1, kMaxChannels, "width of the pixel branch"),
      Key::choice("model.gridmask.pixel.norm", "gn", {"gn", "bn", "none"}, "norm of the pixel branch"),
      Key::integer("model.gridmask.object.hidden_convs", 3, 0, 16, "convolutions in front of the predicting one"),
      Key::integer("model.gridmask.train_stride", 8, 1, 32, "input pixels per loss pixel, a power of two"),
      Key::choice("model.gridmask.train_box", "gt", choices(kTrainBoxes), "box that defines the cells in training"),
      Key::choice("model.gridmask.train_mask", "sampled", choices(kTrainMasks),
                  "label of a loss pixel: the mask at its middle, or the part of it that the mask covers"),
      Key::choice("model.gridmask.empty_cell_norm", "nonempty", choices(kEmptyCellNorms),
                  "divide by non-empty cells, or by k * k as printed in the paper"),
      Key::choice("model.gridmask.positives", "random", choices(kPositives),
                  "locations that learn masks: a random subset, or the best of every object"),
      Key::integer("model.gridmask.max_positives", 500, 1, 1 << 20, "of random: locations per batch that learn masks"),
      Key::integer("model.gridmask.topk_per_image", 64, 1, 1 << 20,
                   "of topk_per_image: locations per picture, shared out among its objects, at least one each"),
  };
  return join({composed, anchor_free_keys()});
}

ModelConfig model_config_from(const Config& config) {
  ModelConfig model;
  model.system = config.get_string("model.system");
  model.classes = read_int(config, "model.classes");
  model.size_divisor = read_int(config, "model.size_divisor");
  const int norm_groups = read_int(config, "model.norm_groups");
  model.fpn.channels = read_int(config, "model.fpn.channels");
  model.fpn.first_level = read_int(config, "model.fpn.first_level");
  model.backbone = backbone_from(config, norm_groups);
  model.fcos = fcos_from(config, norm_groups, model.fpn.first_level);
  model.gridmask = gridmask_from(config, norm_groups, model.fpn.first_level);
  model.anchor_free = anchor_free_from(config, norm_groups);
  model = resolved(std::move(model));
  validate(model);
  return model;
}

}  // namespace tessera
