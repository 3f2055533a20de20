// Parameter totals and multiply-adds against the figures of spec/gridmask.md sections 3.8, 3.9 and 8, which agree with
// torchvision's published ones where it has the same model.
#include <gtest/gtest.h>

#include <map>

#include "models/registry.h"

namespace tessera {
namespace {

struct ModelSize {
  std::map<std::string, int64_t> macs;  // by stage
  int64_t total_macs = 0;
  int64_t parameters = 0, pixel_parameters = 0, object_parameters = 0;
};

ModelSize size_of(const ModelConfig& config, int64_t height, int64_t width) {
  PlanContext context;
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(config, store);
  store.allocate(context, 1, false);
  Tape tape(context, Tape::Mode::forward);
  system->forward(tape, Tensor::empty(context, {1, height, width, 3}));
  ModelSize size;
  for (const StageCost& cost : tape.costs()) {
    size.macs[cost.name] += cost.macs;
    size.total_macs += cost.macs;
  }
  size.parameters = store.count();
  size.pixel_parameters = store.count("gridmask.pixel.");
  size.object_parameters = store.count("gridmask.object.");
  return size;
}

ModelConfig with_backbone(const char* preset) {
  ModelConfig config;
  config.backbone = resnet_preset(preset);
  return config;
}

void expect_giga(int64_t macs, double expected, double relative = 1e-3) {
  EXPECT_NEAR(static_cast<double>(macs) / 1e9, expected, relative * expected);
}

TEST(ModelSize, TotalsOfSection8) {
  struct Row {
    const char* preset;
    int64_t parameters;
    double small, large;  // GMAC at 800x800 and 800x1344
  };
  for (const Row& row : {Row{"r50", 35457226, 163.74, 274.95}, Row{"r101", 54449354, 211.09, 354.50},
                         Row{"x101_32x8d", 98691530, 323.89, 544.01}, Row{"x101_64x4d", 93355466, 311.73, 523.57}}) {
    SCOPED_TRACE(row.preset);
    const ModelSize small = size_of(with_backbone(row.preset), 800, 800);
    EXPECT_EQ(small.parameters, row.parameters);
    expect_giga(small.total_macs, row.small);
    expect_giga(size_of(with_backbone(row.preset), 800, 1344).total_macs, row.large);
  }
  ModelConfig fcos;
  fcos.system = "fcos";
  const ModelSize small = size_of(fcos, 800, 800);
  EXPECT_EQ(small.parameters, 32297370);
  expect_giga(small.total_macs, 124.9);
  expect_giga(size_of(fcos, 800, 1344).total_macs, 209.8);
}

TEST(ModelSize, TorchvisionFcos) {
  // fcos_resnet50_fpn of torchvision: 32,269,600 parameters and 128.21 GMAC, stride in the 3x3, no level scales, 91
  // classes. It counts the affine of frozen norms as buffers, not as parameters.
  ModelConfig config;
  config.system = "fcos";
  config.classes = 91;
  config.backbone.stride_in_1x1 = false;
  config.fcos = fcos_variant("torchvision");
  const ModelSize size = size_of(config, 800, 800);
  EXPECT_EQ(size.parameters - 53120, 32269600);
  expect_giga(size.total_macs, 128.21);
}

TEST(ModelSize, StagesOfSection8) {
  ModelSize size = size_of(ModelConfig{}, 800, 800);
  expect_giga(size.macs["backbone"], 49.18);
  expect_giga(size.macs["fpn"], 10.16);
  expect_giga(size.macs["fcos_head"], 65.57);
  EXPECT_EQ(size.macs["gridmask_pixel"], 6354337792);
  expect_giga(size.macs["gridmask_object"], 32.46);
  EXPECT_EQ(size.pixel_parameters, 724240);
  EXPECT_EQ(size.object_parameters, 2435616);
  size = size_of(ModelConfig{}, 800, 1344);
  expect_giga(size.macs["backbone"], 82.63);
  expect_giga(size.macs["fpn"], 17.07);
  expect_giga(size.macs["fcos_head"], 110.08);
  expect_giga(size.macs["gridmask_pixel"], 10.67);
  expect_giga(size.macs["gridmask_object"], 54.50);
}

TEST(ModelSize, BackbonesByStridePlacement) {
  const auto backbone = [](const char* preset, bool stride_in_1x1, int64_t width) {
    ModelConfig config = with_backbone(preset);
    config.backbone.stride_in_1x1 = stride_in_1x1;
    return size_of(config, 800, width).macs["backbone"];
  };
  expect_giga(backbone("r50", true, 800), 49.18);
  expect_giga(backbone("r50", false, 800), 52.13);
  expect_giga(backbone("r50", false, 1344), 87.58);
  expect_giga(backbone("r101", true, 800), 96.53);
  expect_giga(backbone("r101", false, 800), 99.48);
  expect_giga(backbone("r101", false, 1344), 167.13);
  expect_giga(backbone("x101_32x8d", false, 800), 209.34);
  expect_giga(backbone("x101_64x4d", false, 800), 197.17);
}

TEST(ModelSize, ObjectBranchByKAndDim) {
  const auto check = [](const GridMaskConfig& gridmask, double millions, double giga) {
    ModelConfig config;
    config.gridmask = gridmask;
    ModelSize size = size_of(config, 800, 800);
    EXPECT_NEAR(static_cast<double>(size.object_parameters) / 1e6, millions, 6e-4);
    EXPECT_NEAR(static_cast<double>(size.macs["gridmask_object"]) / 1e9, giga, 0.06);
  };
  const double by_k[5][2] = {{1.846, 24.6}, {2.067, 27.6}, {2.436, 32.5}, {2.952, 39.4}, {3.616, 48.2}};
  for (int k = 1; k <= 5; ++k) {
    GridMaskConfig gridmask;
    gridmask.k = k;
    check(gridmask, by_k[k - 1][0], by_k[k - 1][1]);
  }
  const double by_dim[5][2] = {{2.104, 28.0}, {2.270, 30.3}, {2.436, 32.5}, {2.602, 34.7}, {2.768, 36.9}};
  for (int i = 0; i < 5; ++i) {
    GridMaskConfig gridmask;
    gridmask.dim = 8 + 4 * i;
    check(gridmask, by_dim[i][0], by_dim[i][1]);
  }
  GridMaskConfig deeper;
  deeper.hidden_convs = 4;
  check(deeper, 2.435616 + 0.590592, 32.46 + 7.87);
}

TEST(ModelSize, PixelBranches) {
  ModelConfig config;
  config.gridmask.pixel_levels = 1;
  ModelSize size = size_of(config, 800, 800);
  EXPECT_EQ(size.pixel_parameters, 182800);
  EXPECT_EQ(size.macs["gridmask_pixel"], 1822720000);

  config = {};
  config.gridmask.pixel_norm.kind = NormKind::none;
  EXPECT_EQ(size_of(config, 800, 800).pixel_parameters, 723600);
  config.gridmask.pixel_norm.kind = NormKind::bn;
  EXPECT_EQ(size_of(config, 800, 800).pixel_parameters, 724240);

  config = {};
  config.gridmask.pixel = PixelBranchKind::panoptic_fpn;
  size = size_of(config, 800, 800);
  EXPECT_EQ(size.pixel_parameters, 1773584);  // 1.774 M
  expect_giga(size.macs["gridmask_pixel"], 24.97);
  // P2 of the pyramid: one lateral and one output convolution more.
  EXPECT_EQ(size.parameters - size.pixel_parameters, 35457226 - 724240 + (256 * 256 + 256) + (9 * 256 * 256 + 256));
}

}  // namespace
}  // namespace tessera
