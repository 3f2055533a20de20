// Losses, gradients and detections of two small networks against an independent PyTorch implementation of the same
// specification (NCHW, torch.nn, autograd; single precision on a CPU) with the weights and pictures of
// formula_weights.h. The figures below are its results; element by element the gradients agreed to 3e-6 of the largest,
// and every bit of the masks.
#include <gtest/gtest.h>

#include <array>

#include "tests/models/formula_weights.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using namespace testing_support;

struct GoldenGradient {
  const char* name;
  double norm;
  double projection;  // sum of gradient[i] * formula_noise("probe " + name, i), elements in our layout
};

struct GoldenDetections {
  size_t count;
  double scores, boxes;  // sums
  int64_t mask_pixels;
};

struct Golden {
  std::array<double, 4> losses;  // cls, box, ctr, seg
  std::vector<GoldenGradient> gradients;
  std::array<GoldenDetections, 2> detections;
};

ModelConfig basic_config() {
  ModelConfig config = tiny_config();
  config.backbone.channels = {32, 64, 64};
  config.backbone.stem_channels = 32;
  config.fpn.channels = 32;
  config.gridmask.pixel_channels = 32;
  config.gridmask.dim = 6;
  config.backbone.norm.groups = config.fcos.norm_groups = 8;
  config.gridmask.norm_groups = config.gridmask.pixel_norm.groups = 8;
  return config;
}

// Grouped bottlenecks with frozen norms and stages, pyramid from stride 8, 2 x 2 grid.
ModelConfig bottleneck_config() {
  ModelConfig config = basic_config();
  config.backbone.block = ResNetConfig::Block::bottleneck;
  config.backbone.blocks = {1, 1, 1, 1};
  config.backbone.channels = {32, 64, 96, 128};
  config.backbone.groups = 4;
  config.backbone.width_per_group = 4;
  config.backbone.norm.kind = NormKind::frozen_bn;
  config.backbone.freeze_at = 2;
  config.fpn.first_level = 3;
  config.fcos.range_scale = 0.5f;
  config.gridmask.train_stride = 4;
  config.gridmask.k = 2;
  return config;
}

TrainingBatch golden_batch(Context& context) {
  constexpr int kHeight = 96, kWidth = 128;
  TrainingBatch batch;
  batch.targets.resize(2);
  batch.targets[0].objects = {
      ellipse({4, 6, 40, 50}, 0, kHeight, kWidth), ellipse({30, 20, 125, 90}, 1, kHeight, kWidth),
      ellipse({70, 4, 82, 14}, 2, kHeight, kWidth), ellipse({100.5f, 60.25f, 120.75f, 94.5f}, 0, kHeight, kWidth)};
  batch.targets[1].objects = {ellipse({20, 8, 60, 56}, 2, kHeight, kWidth),
                              ellipse({64, 10, 67, 13}, 1, kHeight, kWidth)};
  std::vector<float> pixels(2 * kHeight * kWidth * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = 4 * formula_noise("images", i);
  batch.images = Tensor::from_host<float>(context, {2, kHeight, kWidth, 3}, pixels);
  return batch;
}

void expect_golden(const ModelConfig& config, const Golden& golden) {
  CpuContext context(1);
  TinyModel tiny(context, config);
  set_formula_weights(context, tiny.store);
  const TrainingBatch batch = golden_batch(context);
  Tape tape(context);
  const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
  ASSERT_EQ(losses.size(), golden.losses.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(scalar(context, losses[i].value), golden.losses[i], 5e-6) << losses[i].name;
  }

  tape.backward(total_of(tape, losses));
  for (const GoldenGradient& expected : golden.gradients) {
    const std::string name = expected.name;
    const Parameter* parameter = tiny.store.find(name);
    ASSERT_NE(parameter, nullptr) << name;
    const std::vector<float> gradient = parameter->gradient.to_host<float>(context);
    double norm = 0, projection = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      norm += static_cast<double>(gradient[i]) * gradient[i];
      projection += static_cast<double>(gradient[i]) * formula_noise("probe " + name, i);
    }
    EXPECT_NEAR(std::sqrt(norm), expected.norm, 1e-5 * expected.norm + 1e-8) << name;
    EXPECT_NEAR(projection, expected.projection, 2e-5 * expected.norm + 1e-8) << name;
  }

  // Padding in both pictures, one enlarged and one reduced on its way in.
  Tape inference(context, Tape::Mode::forward);
  const std::vector<std::vector<Detection>> detections =
      tiny.model.detect(inference, batch.images, {{73, 101, 96, 128}, {180, 240, 90, 120}});
  ASSERT_EQ(detections.size(), 2u);
  for (size_t image = 0; image < 2; ++image) {
    const GoldenDetections& expected = golden.detections[image];
    EXPECT_EQ(detections[image].size(), expected.count);
    double scores = 0, boxes = 0;
    int64_t mask_pixels = 0;
    for (const Detection& detection : detections[image]) {
      scores += detection.score;
      boxes += detection.box.x1 + detection.box.y1 + detection.box.x2 + detection.box.y2;
      for (int y = 0; y < detection.mask.height; ++y) {
        for (int x = 0; x < detection.mask.width; ++x) mask_pixels += detection.mask.at(y, x);
      }
    }
    EXPECT_NEAR(scores, expected.scores, 1e-5);
    EXPECT_NEAR(boxes, expected.boxes, 0.01);
    EXPECT_NEAR(static_cast<double>(mask_pixels), static_cast<double>(expected.mask_pixels), 2);
  }
}

TEST(PyTorchGolden, BasicBlocksAndGroupNorm) {
  expect_golden(basic_config(), {{1.0625330, 0.9347583, 0.7398004, 2.1705732},
                                 {
                                     {"backbone.bottom_up.res3.0.conv1.weight", 3.522541, -0.5099425},
                                     {"backbone.fpn_lateral3.weight", 1.930405, -0.1731976},
                                     {"backbone.fpn_output4.weight", 2.951049, 1.274564},
                                     {"backbone.top_block.p6.weight", 0.006463347, 0.002014977},
                                     {"proposal_generator.fcos_head.cls_tower.0.weight", 5.661267, -1.540332},
                                     {"proposal_generator.fcos_head.cls_logits.bias", 1.047717, -0.4973392},
                                     {"proposal_generator.fcos_head.bbox_pred.weight", 0.143143, 0.04904017},
                                     {"proposal_generator.fcos_head.ctrness.weight", 0.8243682, -0.3887127},
                                     {"proposal_generator.fcos_head.scales.1.scale", 0.001518317, 0.0003629596},
                                     {"gridmask.pixel.reduce4.weight", 0.6593987, -0.1888331},
                                     {"gridmask.pixel.reduce5.norm.weight", 0.1339164, -0.06245163},
                                     {"gridmask.pixel.fuse.weight", 8.949448, 3.40153},
                                     {"gridmask.pixel.embed.bias", 0.4713541, -0.04748243},
                                     {"gridmask.object.tower.0.weight", 2.627449, 1.556677},
                                     {"gridmask.object.tower.1.bias", 0.2574624, -0.04719196},
                                     {"gridmask.object.pred.weight", 4.19563, -0.898832},
                                 },
                                 {{{24, 9.087232, 4701.6, 135}, {24, 9.428643, 12047.18, 2086}}}});
}

TEST(PyTorchGolden, GroupedBottlenecksAndFrozenBatchNorm) {
  expect_golden(bottleneck_config(), {{0.6554617, 0.9196737, 0.8069146, 2.1705275},
                                      {
                                          {"backbone.bottom_up.res3.0.conv1.weight", 0.7499126, 0.006061145},
                                          {"backbone.fpn_lateral3.weight", 1.68898, -1.223952},
                                          {"backbone.fpn_output4.weight", 2.704269, -0.5786634},
                                          {"backbone.top_block.p6.weight", 0.8755526, -0.02509614},
                                          {"proposal_generator.fcos_head.cls_tower.0.weight", 4.323546, 0.9130596},
                                          {"proposal_generator.fcos_head.cls_logits.bias", 0.4152105, -0.2000536},
                                          {"proposal_generator.fcos_head.bbox_pred.weight", 0.313936, 0.009193339},
                                          {"proposal_generator.fcos_head.ctrness.weight", 1.760236, -1.113921},
                                          {"proposal_generator.fcos_head.scales.1.scale", 0.004219908, 0.001008786},
                                          {"gridmask.pixel.reduce4.weight", 0.4876657, 0.08883657},
                                          {"gridmask.pixel.reduce5.norm.weight", 0.09762547, -0.03738004},
                                          {"gridmask.pixel.fuse.weight", 6.081762, 0.224142},
                                          {"gridmask.pixel.embed.bias", 0.3082784, -0.03880805},
                                          {"gridmask.object.tower.0.weight", 3.271051, -0.336642},
                                          {"gridmask.object.tower.1.bias", 0.416126, -0.1823326},
                                          {"gridmask.object.pred.weight", 5.1158, -0.3934907},
                                      },
                                      {{{44, 16.06079, 9233.048, 1194}, {48, 17.23795, 22782.46, 7141}}}});
}

}  // namespace
}  // namespace tessera
