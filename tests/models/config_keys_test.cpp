#include "models/config_keys.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

Config with(const std::vector<std::string>& assignments) {
  Config config(model_config_keys());
  for (const std::string& assignment : assignments) config.merge_override(assignment);
  return config;
}

ModelConfig model_with(const std::vector<std::string>& assignments) { return model_config_from(with(assignments)); }

// Message and hint of the error a config causes.
std::string refusal(const std::vector<std::string>& assignments) {
  try {
    model_with(assignments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "accepted";
}

TEST(ModelConfigKeys, DefaultsAreTheReferenceModel) {
  const ModelConfig model = model_with({});
  const ModelConfig plain = resolved(ModelConfig{});
  EXPECT_EQ(model.system, plain.system);
  EXPECT_EQ(model.backbone.blocks, plain.backbone.blocks);
  EXPECT_EQ(model.backbone.norm, plain.backbone.norm);
  EXPECT_EQ(model.backbone.freeze_at, 2);
  EXPECT_EQ(model.fcos.score_threshold, 0.05f);
  EXPECT_EQ(model.fcos.nms_threshold, 0.6f);
  EXPECT_EQ(model.fcos.center_radius, 1.5f);
  EXPECT_EQ(model.fcos.range_scale, 1.0f);
  EXPECT_EQ(model.gridmask.object_channels(), 288);
  EXPECT_EQ(model.gridmask.pixel_norm, plain.gridmask.pixel_norm);
  EXPECT_FALSE(model.fpn.extra_p2);
}

TEST(ModelConfigKeys, SmallNetwork) {
  const ModelConfig model = model_with(
      {"model.backbone.preset=basic", "model.norm_groups=16", "model.fpn.first_level=2", "model.fpn.channels=64",
       "model.gridmask.pixel.channels=32", "model.gridmask.train_stride=2", "model.backbone.blocks=[1,1,1]",
       "model.gridmask.object.hidden_convs=1", "model.gridmask.pixel.levels=[2]"});
  EXPECT_EQ(model.backbone.block, ResNetConfig::Block::basic);
  EXPECT_EQ(model.backbone.blocks, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(model.backbone.norm, (NormConfig{.kind = NormKind::gn, .groups = 16}));
  EXPECT_EQ(model.backbone.freeze_at, 0);
  EXPECT_EQ(model.fcos.range_scale, 0.5f);
  EXPECT_EQ(model.fcos.channels, 64);
  EXPECT_EQ(model.fcos.norm_groups, 16);
  EXPECT_EQ(model.gridmask.norm_groups, 16);
  EXPECT_EQ(model.gridmask.pixel_levels, 1);
}

TEST(ModelConfigKeys, VariantsAndTheirExceptions) {
  const ModelConfig torchvision = model_with({"model.fcos.variant=torchvision", "model.classes=91"});
  EXPECT_EQ(torchvision.fcos.score_threshold, 0.2f);
  EXPECT_FALSE(torchvision.fcos.level_scales);
  EXPECT_EQ(torchvision.fcos.classes, 91);
  const ModelConfig mixed =
      model_with({"model.fcos.variant=mmdet", "model.fcos.activation=relu", "model.fcos.unit=stride",
                  "model.fcos.score=square_root", "model.fcos.center_radius=1.5", "model.fcos.box_loss=giou"});
  EXPECT_EQ(mixed.fcos.activation, RegressionActivation::relu);
  EXPECT_EQ(mixed.fcos.unit, RegressionUnit::stride);
  EXPECT_TRUE(mixed.fcos.square_root_score);
  EXPECT_EQ(mixed.fcos.center_radius, 1.5f);
  EXPECT_EQ(mixed.fcos.box_loss, IouLossKind::giou);
  EXPECT_FALSE(mixed.fcos.centerness_on_regression);
  EXPECT_EQ(mixed.fcos.nms_threshold, 0.5f);
  EXPECT_TRUE(model_with({"model.gridmask.pixel.type=panoptic_fpn"}).fpn.extra_p2);
}

TEST(ModelConfigKeys, ValuesWrittenOutMeanTheSame) {
  // The merged values travel in weight files: a default written out must not turn into a choice.
  for (const char* preset : {"r50", "r101", "x101_64x4d", "x101_32x8d"}) {
    const Config config = with({std::string("model.backbone.preset=") + preset, "model.fcos.variant=torchvision"});
    const ModelConfig once = model_config_from(config);
    const ModelConfig twice = model_config_from(Config::from_json(model_config_keys(), config.to_json(), "metadata"));
    EXPECT_EQ(once.backbone.blocks, twice.backbone.blocks);
    EXPECT_EQ(once.backbone.groups, twice.backbone.groups);
    EXPECT_EQ(once.backbone.stride_in_1x1, twice.backbone.stride_in_1x1);
    EXPECT_EQ(once.backbone.norm, twice.backbone.norm);
    EXPECT_EQ(once.fcos.score_threshold, twice.fcos.score_threshold);
    EXPECT_EQ(once.fcos.center_radius, twice.fcos.center_radius);
    EXPECT_EQ(once.fcos.threshold_on, twice.fcos.threshold_on);
  }
}

TEST(ModelConfigKeys, RefusesWithTheNearestValues) {
  EXPECT_EQ(refusal({"model.fpn.channels=100"}),
            "model.fpn.channels = 100: not a multiple of model.norm_groups = 32 | model.fpn.channels=96 or "
            "model.fpn.channels=128");
  EXPECT_EQ(refusal({"model.gridmask.train_stride=6"}),
            "model.gridmask.train_stride = 6: must be 1, 2, 4, 8, 16 or 32 | model.gridmask.train_stride=4");
  EXPECT_EQ(refusal({"model.gridmask.pixel.levels=[4,5]"}),
            "model.gridmask.pixel.levels: must be the first level of the pyramid, 3, or the first four | "
            "model.gridmask.pixel.levels=[3] or [3,4,5,6]");
  EXPECT_EQ(refusal({"model.backbone.blocks=[2,2]"}),
            "model.backbone.blocks: 2 stages, must be 3 or 4 | model.backbone.blocks=[2,2,2]");
  EXPECT_EQ(
      refusal({"model.backbone.preset=basic", "model.backbone.channels=[32,64]", "model.norm_groups=16"}),
      "model.backbone.channels: 2 values for 3 stages of model.backbone.blocks | one output width per stage, e.g. "
      "model.backbone.channels=[32,64,128]");
  EXPECT_EQ(refusal({"model.backbone.preset=basic", "model.norm_groups=64", "model.fpn.channels=64"}),
            "model.backbone.stem_channels = 32: not a multiple of model.norm_groups = 64 | "
            "model.backbone.stem_channels=64");
  EXPECT_EQ(refusal({"model.size_divisor=48"}),
            "model.size_divisor = 48: not a multiple of the stride of res5 = 32 | model.size_divisor=32 or "
            "model.size_divisor=64");
  // Masks alone can be wrong for a detector without masks.
  EXPECT_EQ(refusal({"model.system=fcos", "model.gridmask.pixel.channels=33"}), "accepted");
}

TEST(ModelConfigKeys, UnknownNames) {
  EXPECT_THROW(resnet_preset("r51"), Error);
  EXPECT_THROW(fcos_variant("yolo"), Error);
}

}  // namespace
}  // namespace tessera
