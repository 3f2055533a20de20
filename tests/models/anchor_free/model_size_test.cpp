// Parameter totals and multiply-adds of spec/yolactr.md sections 6.3 and 8, and the names of section 9.7.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "models/anchor_free_yolactr.h"

namespace tessera {
namespace {

ModelConfig paper(int layers = 6) {
  ModelConfig config;
  config.system = "anchor_free_yolactr";
  config.backbone.stride_in_1x1 = false;
  config.anchor_free.layers = layers;
  return config;
}

ModelConfig sotr() {
  ModelConfig config = paper(12);
  config.anchor_free.duplicate_width = true;
  config.anchor_free.position = false;
  config.anchor_free.mask_head = MaskHead::sotr;
  config.anchor_free.semantic = false;
  return config;
}

struct Size {
  int64_t parameters = 0;
  std::map<std::string, int64_t> macs;  // by stage
  double total_gmac = 0;                // with the semantic head and the masks of 40 cells, as the spec counts
  double saved_gib = 0;                 // of a recording tape
};

Size size_of(const ModelConfig& config, int64_t height, int64_t width, int64_t batch = 1) {
  PlanContext context;
  ParameterStore store;
  const AnchorFreeYolactr model(config, store);
  store.allocate(context, 1, true);
  Tape tape(context);
  const AnchorFreeYolactr::Output output = model.run(tape, Tensor::empty(context, {batch, height, width, 3}));
  Size size;
  size.parameters = store.count();
  int64_t total = 40 * output.features.extent(1) * output.features.extent(2) * output.features.extent(3);
  for (const StageCost& cost : tape.costs()) {
    size.macs[cost.name] += cost.macs;
    total += cost.macs;
  }
  size.total_gmac = static_cast<double>(total) * 1e-9;
  size.saved_gib = static_cast<double>(tape.saved_bytes()) / (1 << 30);
  return size;
}

int64_t parameters_of(const ModelConfig& config) {
  ParameterStore store;
  const AnchorFreeYolactr model(config, store);
  return store.count();
}

TEST(YolactrSize, Parameters) {
  EXPECT_EQ(parameters_of(paper(2)), 34'609'044);
  EXPECT_EQ(parameters_of(paper(6)), 46'149'540);
  ModelConfig config = paper();
  config.anchor_free.block = TransformerBlock::preln_mlp;
  EXPECT_EQ(parameters_of(config), 35'150'220);
  config = paper();
  config.backbone.blocks = {3, 4, 23, 3};
  EXPECT_EQ(parameters_of(config), 65'141'668);
  config = paper();
  config.classes = 8;
  EXPECT_EQ(parameters_of(config), 46'112'532);
  EXPECT_EQ(parameters_of(sotr()), 63'217'344);
}

TEST(YolactrSize, ParametersByPart) {
  ParameterStore store;
  const AnchorFreeYolactr model(paper(), store);
  EXPECT_EQ(store.count("backbone.bottom_up."), 23'508'032);
  EXPECT_EQ(store.count("backbone.fpn_"), 3'344'384);
  EXPECT_EQ(store.count("prediction.transformer."), 17'310'744);
  EXPECT_EQ(store.count("prediction.position."), 65'536);
  EXPECT_EQ(store.count("prediction.class_logits.") + store.count("prediction.kernel."), 86'352);
  EXPECT_EQ(store.count("mask.attention"), 9'132);
  EXPECT_EQ(store.count("mask."), 1'804'800 + 9'132);
  EXPECT_EQ(store.count("semantic."), 20'560);
}

void expect_giga(double gmac, double expected) { EXPECT_NEAR(gmac, expected, 1e-3 * expected); }

TEST(YolactrSize, MultiplyAdds) {
  const Size six = size_of(paper(), 800, 1344);
  expect_giga(six.total_gmac, 280.0);
  EXPECT_NEAR(static_cast<double>(six.macs.at("backbone")) * 1e-9, 87.58, 0.01);
  EXPECT_NEAR(static_cast<double>(six.macs.at("fpn")) * 1e-9, 60.90, 0.01);
  EXPECT_NEAR(static_cast<double>(six.macs.at("transformer")) * 1e-9, 86.18, 0.01);
  EXPECT_NEAR(static_cast<double>(six.macs.at("heads")) * 1e-9, 0.33, 0.01);
  EXPECT_NEAR(static_cast<double>(six.macs.at("mask_features")) * 1e-9, 44.02, 0.02);
  EXPECT_NEAR(static_cast<double>(six.macs.at("semantic")) * 1e-9, 0.34, 0.01);
  expect_giga(size_of(paper(2), 800, 1344).total_gmac, 222.6);
  expect_giga(size_of(paper(6), 800, 800).total_gmac, 194.2);
  expect_giga(size_of(paper(2), 800, 800).total_gmac, 141.8);
  ModelConfig config = paper();
  config.anchor_free.token_from_grid = true;
  expect_giga(size_of(config, 800, 1344).total_gmac, 261.7);
  config = paper();
  config.anchor_free.block = TransformerBlock::preln_mlp;
  expect_giga(size_of(config, 800, 1344).total_gmac, 225.8);
  config = paper();
  config.backbone.blocks = {3, 4, 23, 3};
  expect_giga(size_of(config, 800, 1344).total_gmac, 359.6);
  config = paper();
  config.classes = 8;
  expect_giga(size_of(config, 1024, 2048).total_gmac, 481.0);
}

TEST(YolactrSize, SavedActivationsOfABatchOfEight) {
  const double kept = size_of(paper(), 800, 1344, 8).saved_gib;
  EXPECT_LE(kept, 14.0);
  EXPECT_GE(kept, 9.0);  // a planner that forgets is no planner
  ModelConfig config = paper();
  config.anchor_free.recompute = true;
  const double recomputed = size_of(config, 800, 1344, 8).saved_gib;
  EXPECT_LT(recomputed, kept - 2.5);
}

TEST(YolactrSize, Names) {
  ParameterStore store;
  const AnchorFreeYolactr model(paper(), store);
  const auto shape = [&](const std::string& name) {
    const Parameter* parameter = store.find(name);
    return parameter == nullptr ? name + " is missing" : parameter->shape.to_string();
  };
  EXPECT_EQ(shape("backbone.bottom_up.res2.0.conv1.weight"), "[64x1x1x64]");
  EXPECT_EQ(shape("backbone.fpn_lateral2.weight"), "[256x1x1x256]");
  EXPECT_EQ(shape("backbone.fpn_output5.bias"), "[256]");
  EXPECT_EQ(store.find("backbone.top_block.p6.weight"), nullptr);
  EXPECT_EQ(shape("prediction.position.0.row"), "[40x256]");
  EXPECT_EQ(shape("prediction.position.4.column"), "[12x256]");
  EXPECT_EQ(shape("prediction.transformer.5.column.query.weight"), "[256x256]");
  EXPECT_EQ(shape("prediction.transformer.0.row.key_value.weight"), "[512x256]");
  EXPECT_EQ(store.find("prediction.transformer.0.row.key_value.bias"), nullptr);
  EXPECT_EQ(shape("prediction.transformer.0.row.output.bias"), "[256]");
  EXPECT_EQ(shape("prediction.transformer.0.feed_forward.1.conv2.weight"), "[256x3x3x256]");
  EXPECT_EQ(shape("prediction.transformer.0.gate.feed_forward0"), "[]");
  EXPECT_EQ(shape("prediction.class_logits.weight"), "[80x256]");
  EXPECT_EQ(shape("prediction.kernel.bias"), "[256]");
  EXPECT_EQ(shape("mask.reduce5.norm.weight"), "[128]");
  EXPECT_EQ(shape("mask.attention_output.reduce.weight"), "[8x128]");
  EXPECT_EQ(shape("mask.attention2.spatial.weight"), "[1x7x7x2]");
  EXPECT_EQ(shape("mask.output.weight"), "[256x1x1x128]");
  EXPECT_EQ(shape("semantic.weight"), "[80x1x1x256]");

  ParameterStore plain;
  const AnchorFreeYolactr compatible(sotr(), plain);
  EXPECT_NE(plain.find("mask.levels.3.2.weight"), nullptr);
  EXPECT_EQ(plain.find("prediction.position.0.row"), nullptr);
  EXPECT_EQ(plain.find("semantic.weight"), nullptr);
}

}  // namespace
}  // namespace tessera
