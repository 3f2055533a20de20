// Canonical names (spec/gridmask.md section 9: detectron2's and AdelaiDet's) and roles of parameters.
#include <gtest/gtest.h>

#include <set>

#include "models/registry.h"

namespace tessera {
namespace {

struct Declared {
  explicit Declared(const ModelConfig& config) : system(make_system(config, store)) {}
  ParameterStore store;
  std::unique_ptr<System> system;

  const Parameter& at(const std::string& name) const {
    const Parameter* parameter = store.find(name);
    TESSERA_CHECK(parameter, "'{}' is not declared", name);
    return *parameter;
  }
};

TEST(ParameterNames, ReferenceModel) {
  const Declared model{ModelConfig{}};
  struct Row {
    const char* name;
    Shape shape;
  };
  for (const Row& row : std::vector<Row>{
           {"backbone.bottom_up.stem.conv1.weight", {64, 7, 7, 3}},
           {"backbone.bottom_up.stem.conv1.norm.running_var", {64}},
           {"backbone.bottom_up.res2.0.conv1.weight", {64, 1, 1, 64}},
           {"backbone.bottom_up.res2.0.shortcut.weight", {256, 1, 1, 64}},
           {"backbone.bottom_up.res3.0.shortcut.norm.weight", {512}},
           {"backbone.bottom_up.res4.5.conv2.weight", {256, 3, 3, 256}},
           {"backbone.bottom_up.res5.2.conv3.norm.running_mean", {2048}},
           {"backbone.fpn_lateral3.weight", {256, 1, 1, 512}},
           {"backbone.fpn_output5.bias", {256}},
           {"backbone.top_block.p6.weight", {256, 3, 3, 256}},
           {"backbone.top_block.p7.bias", {256}},
           {"proposal_generator.fcos_head.cls_tower.0.weight", {256, 3, 3, 256}},
           {"proposal_generator.fcos_head.cls_tower.9.bias", {256}},
           {"proposal_generator.fcos_head.bbox_tower.10.weight", {256}},
           {"proposal_generator.fcos_head.cls_logits.weight", {80, 3, 3, 256}},
           {"proposal_generator.fcos_head.bbox_pred.bias", {4}},
           {"proposal_generator.fcos_head.ctrness.weight", {1, 3, 3, 256}},
           {"proposal_generator.fcos_head.scales.4.scale", {1}},
           {"gridmask.pixel.reduce3.weight", {128, 1, 1, 256}},
           {"gridmask.pixel.reduce6.norm.bias", {128}},
           {"gridmask.pixel.fuse.weight", {128, 3, 3, 512}},
           {"gridmask.pixel.fuse.norm.weight", {128}},
           {"gridmask.pixel.embed.weight", {16, 1, 1, 128}},
           {"gridmask.pixel.embed.bias", {16}},
           {"gridmask.object.tower.6.weight", {256, 3, 3, 256}},
           {"gridmask.object.tower.7.bias", {256}},
           {"gridmask.object.pred.weight", {288, 3, 3, 256}},
           {"gridmask.object.pred.bias", {288}},
       }) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(model.at(row.name).shape, row.shape);
  }
  // Nothing else: no bias in front of a norm, no shortcut where the identity does.
  for (const char* name : {"backbone.bottom_up.stem.conv1.bias", "gridmask.pixel.fuse.bias",
                           "backbone.bottom_up.res2.1.shortcut.weight", "backbone.fpn_lateral2.weight",
                           "proposal_generator.fcos_head.cls_tower.2.weight", "gridmask.object.tower.9.weight"}) {
    EXPECT_EQ(model.store.find(name), nullptr) << name;
  }
}

TEST(ParameterNames, FrozenPartsAndRoles) {
  const Declared model{ModelConfig{}};
  for (const Parameter& parameter : model.store.parameters()) {
    const bool norm = parameter.name.find(".norm.") != std::string::npos;
    const bool backbone = parameter.name.starts_with("backbone.bottom_up.");
    const bool early = parameter.name.starts_with("backbone.bottom_up.stem.") ||
                       parameter.name.starts_with("backbone.bottom_up.res2.");
    EXPECT_EQ(parameter.trainable, !(early || (backbone && norm))) << parameter.name;
    if (parameter.name.ends_with("running_mean")) {
      EXPECT_FALSE(parameter.counted()) << parameter.name;
    }
  }
  EXPECT_TRUE(model.at("proposal_generator.fcos_head.scales.0.scale").decayed());  // section 12.12
  EXPECT_FALSE(model.at("gridmask.pixel.fuse.norm.weight").decayed());
  EXPECT_TRUE(model.at("gridmask.pixel.embed.bias").decayed());
  EXPECT_NEAR(model.at("proposal_generator.fcos_head.cls_logits.bias").initializer.value, -4.59512, 1e-5);
}

TEST(ParameterNames, SmallPyramid) {
  ModelConfig config;
  config.backbone = resnet_preset("basic");
  config.fpn = {.channels = 64, .first_level = 2};
  const Declared model(config);
  for (const char* name :
       {"backbone.fpn_lateral2.weight", "backbone.fpn_output4.weight", "backbone.top_block.p5.weight",
        "backbone.top_block.p6.weight", "gridmask.pixel.reduce2.weight", "gridmask.pixel.reduce5.weight",
        "backbone.bottom_up.res4.1.conv2.norm.weight", "backbone.bottom_up.res3.0.shortcut.weight"}) {
    EXPECT_NE(model.store.find(name), nullptr) << name;
  }
  EXPECT_EQ(model.store.find("backbone.fpn_lateral5.weight"), nullptr);
  // The identity where stride and channels are kept.
  EXPECT_EQ(model.store.find("backbone.bottom_up.res2.0.shortcut.weight"), nullptr);
  for (const Parameter& parameter : model.store.parameters()) EXPECT_TRUE(parameter.trainable) << parameter.name;
}

TEST(ParameterNames, BatchNormInFrozenStagesIsFrozen) {
  ModelConfig config;
  config.backbone.norm.kind = NormKind::bn;
  config.backbone.freeze_at = 1;
  const Declared model(config);
  EXPECT_EQ(model.at("backbone.bottom_up.stem.conv1.norm.weight").role, ParameterRole::frozen_affine);
  EXPECT_EQ(model.at("backbone.bottom_up.res2.0.conv1.norm.weight").role, ParameterRole::norm_affine);
  EXPECT_TRUE(model.at("backbone.bottom_up.res2.0.conv1.norm.weight").trainable);
  EXPECT_FALSE(model.at("backbone.bottom_up.stem.conv1.weight").trainable);
}

TEST(ParameterNames, UnknownSystem) {
  ModelConfig config;
  config.system = "mask_rcnn";
  ParameterStore store;
  EXPECT_THROW(make_system(config, store), Error);
}

}  // namespace
}  // namespace tessera
