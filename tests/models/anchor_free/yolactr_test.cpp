// The anchor-free YOLACTR as a whole: invariants of its parts (spec/yolactr.md, section 11), losses and their switches,
// bad targets, gradients against differences, detection, one picture fitted.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/training/sgd.h"
#include "models/anchor_free/inference.h"
#include "tests/emulator/closed_allocator.h"
#include "tests/models/anchor_free/tiny_yolactr.h"
#include "tests/models/one_picture.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

Variable map_of(Tape& tape, const Shape& shape, uint64_t sample) {
  const OpInput input = random_input(shape, sample);
  return tape.input(
      Tensor::from_host<float>(tape.context(), shape, std::vector<float>(input.values.begin(), input.values.end())));
}

std::vector<float> values_of(const Variable& x, Context& context) { return x.value.to_host<float>(context); }

void expect_near(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  float worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  EXPECT_LE(worst, tolerance);
}

AnchorFreeConfig prediction_config() { return resolved(tiny_yolactr_config()).anchor_free; }

struct Prediction {
  Prediction(Context& context, const AnchorFreeConfig& config) : network(ParameterScope(store, "prediction"), config) {
    store.allocate(context, 1, true);
  }
  ParameterStore store;
  PredictionNetwork network;
};

TEST(YolactrPrediction, ClosedGatesAreTheIdentity) {
  CpuContext context(2);
  const Prediction prediction(context, prediction_config());
  Tape tape(context);
  const Variable x = map_of(tape, {2, 5, 7, 32}, 1);
  EXPECT_EQ(values_of(prediction.network.transform(tape, x), context), values_of(x, context));
  AnchorFreeConfig config = prediction_config();
  config.duplicate_width = true;
  const Prediction twice(context, config);
  EXPECT_EQ(values_of(twice.network.transform(tape, x), context), values_of(x, context));
}

void set_gates(Context& context, const ParameterStore& store, float attention, float feed_forward) {
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.name.find(".gate.feed") != std::string::npos) parameter.value.copy_from_host(context, &feed_forward);
    if (parameter.name.ends_with(".gate.row") || parameter.name.ends_with(".gate.column"))
      parameter.value.copy_from_host(context, &attention);
  }
}

TEST(YolactrPrediction, DuplicationWithoutFeedForwardChangesNothing) {
  CpuContext context(1);
  AnchorFreeConfig config = prediction_config();
  const Prediction once(context, config);
  config.duplicate_width = true;
  const Prediction twice(context, config);
  Tape tape(context);
  const Variable x = map_of(tape, {2, 4, 6, 32}, 2);
  for (const float feed_forward : {0.0f, 0.5f}) {
    set_gates(context, once.store, 0.7f, feed_forward);
    set_gates(context, twice.store, 0.7f, feed_forward);
    const std::vector<float> a = values_of(once.network.transform(tape, x), context);
    const std::vector<float> b = values_of(twice.network.transform(tape, x), context);
    if (feed_forward == 0) {
      expect_near(a, b, 1e-5f);
    } else {
      EXPECT_NE(a, b);  // the convolutions see the seam
    }
  }
}

TEST(YolactrPrediction, ShapesOfBothBlocksAndTokens) {
  CpuContext context(1);
  for (const TransformerBlock block : {TransformerBlock::hybrid_rezero, TransformerBlock::preln_mlp}) {
    for (const bool from_grid : {false, true}) {
      AnchorFreeConfig config = prediction_config();
      config.block = block;
      config.token_from_grid = from_grid;
      const Prediction prediction(context, config);
      Tape tape(context);
      std::vector<Variable> maps;
      for (int level = 2; level <= 6; ++level)
        maps.push_back(map_of(tape, {2, std::max(1, 64 >> level), std::max(1, 128 >> level), 32}, 3));
      const CellPredictions cells = prediction.network.forward(tape, maps);
      const int64_t rows = 2 * (64 + 36 + 16 + 9 + 4);
      EXPECT_EQ(cells.logits.shape(), (Shape{rows, 3}));
      EXPECT_EQ(cells.kernels.shape(), (Shape{rows, 16}));
      EXPECT_EQ(cells.t5.shape(), (Shape{2, 2, 4, 32}));
      EXPECT_EQ(cells.geometry.rows(), rows);
      // Every class starts near the prior of 0.01.
      double mean = 0;
      for (const float z : values_of(cells.logits, context)) mean += 1 / (1 + std::exp(-static_cast<double>(z)));
      EXPECT_LT(mean / (3 * static_cast<double>(rows)), 0.3);
    }
  }
}

TrainingBatch two_pictures(Context& context) {
  return painted_batch(context, 64, 64,
                       {{ellipse({6, 8, 38, 44}, 0, 64, 64), ellipse({24, 26, 58, 60}, 1, 64, 64)},
                        {ellipse({10, 10, 30, 30}, 2, 64, 64)}});
}

struct Losses {
  std::map<std::string, float> parts;
  std::vector<float> gradients;
};

Losses losses_of(Context& context, const ModelConfig& config, const TrainingBatch& batch) {
  const TinyYolactr tiny(context, config);
  tiny.open_gates(context);
  Tape tape(context);
  const std::vector<NamedLoss> named = tiny.model.losses(tape, batch);
  Losses losses;
  for (const NamedLoss& loss : named) losses.parts[loss.name] = scalar(context, loss.value);
  tape.backward(total_of(tape, named));
  losses.gradients = tiny.store.gradients().to_host<float>(context);
  for (const float g : losses.gradients) EXPECT_TRUE(std::isfinite(g));
  return losses;
}

TEST(YolactrLosses, EverySwitchOfTable2AndMore) {
  CpuContext context(1);
  const TrainingBatch batch = two_pictures(context);
  const Losses base = losses_of(context, tiny_yolactr_config(), batch);
  ASSERT_EQ(base.parts.size(), 3u);
  EXPECT_GT(base.parts.at("mask"), 0.3f);
  EXPECT_LE(base.parts.at("mask"), 3.0f);
  const auto changed = [&](auto&& change) {
    ModelConfig config = tiny_yolactr_config();
    change(config.anchor_free);
    return losses_of(context, config, batch);
  };
  EXPECT_NE(changed([](auto& c) { c.mask_loss = MaskLoss::bce; }).parts.at("mask"), base.parts.at("mask"));
  EXPECT_NE(changed([](auto& c) { c.dice_squared = false; }).parts.at("mask"), base.parts.at("mask"));
  EXPECT_NE(changed([](auto& c) { c.class_loss = ClassLoss::ce; }).parts.at("cls"), base.parts.at("cls"));
  EXPECT_NE(changed([](auto& c) { c.mask_stride = 2; }).parts.at("mask"), base.parts.at("mask"));
  EXPECT_NEAR(changed([](auto& c) { c.mask_weight = 6; }).parts.at("mask"), 2 * base.parts.at("mask"), 1e-5f);
  EXPECT_EQ(changed([](auto& c) { c.semantic = false; }).parts.count("sem"), 0u);
  for (const bool sotr : {false, true}) {
    EXPECT_NE(changed([&](auto& c) {
                c.attention_position = AttentionPosition::before;
                if (sotr) c.mask_head = MaskHead::sotr;
                c.coord_conv = sotr;
              }).parts.at("mask"),
              base.parts.at("mask"));
  }
}

TEST(YolactrLosses, RecomputationChangesNoBit) {
  CpuContext context(2);
  ModelConfig config = tiny_yolactr_config();
  config.anchor_free.layers = 2;
  const TrainingBatch batch = two_pictures(context);
  const Losses kept = losses_of(context, config, batch);
  config.anchor_free.recompute = true;
  const Losses again = losses_of(context, config, batch);
  EXPECT_EQ(kept.parts, again.parts);
  EXPECT_EQ(kept.gradients, again.gradients);
}

TEST(YolactrLosses, PicturesWithoutObjects) {
  CpuContext context(1);
  ObjectTarget hidden = ellipse({10, 10, 30, 30}, 2, 64, 64);
  std::fill(hidden.mask.pixels.begin(), hidden.mask.pixels.end(), uint8_t{0});
  for (const std::vector<ObjectTarget>& objects : {std::vector<ObjectTarget>{}, std::vector<ObjectTarget>{hidden}}) {
    const Losses losses = losses_of(context, tiny_yolactr_config(), painted_batch(context, 64, 64, {objects}));
    EXPECT_EQ(losses.parts.at("mask"), 0.0f);
    EXPECT_GT(losses.parts.at("cls"), 0.0f);
  }
  // One picture of two without objects: its features get no gradient from masks, the other's do.
  losses_of(context, tiny_yolactr_config(),
            painted_batch(context, 64, 64, {{}, {ellipse({10, 10, 30, 30}, 2, 64, 64)}}));
}

TEST(YolactrLosses, MoreObjectsThanCells) {
  CpuContext context(1);
  std::vector<ObjectTarget> crowd;
  for (int i = 0; i < 120; ++i) {
    const float x = static_cast<float>(i % 12) * 5, y = static_cast<float>(i / 12) * 6;
    crowd.push_back(ellipse({x, y, x + 5, y + 6}, i % 3, 64, 64));
  }
  const TrainingBatch batch = painted_batch(context, 64, 64, {crowd});
  losses_of(context, tiny_yolactr_config(), batch);
  const TinyYolactr tiny(context);
  const std::vector<NamedCount> counts = tiny.model.target_counts(batch);
  ASSERT_EQ(counts.size(), 4u);
  EXPECT_EQ(counts[1].name, "shared_cells");
  EXPECT_GT(counts[1].value, 0);
  EXPECT_GE(counts[2].value, counts[1].value);
}

TEST(YolactrLosses, GradientIsTheSlopeOfTheTotal) {
  CpuContext context(1);
  const TrainingBatch batch = two_pictures(context);
  const TinyYolactr tiny(context);
  tiny.open_gates(context);
  const auto total = [&] {
    Tape tape(context);
    double sum = 0;
    for (const NamedLoss& loss : tiny.model.losses(tape, batch)) sum += scalar(context, loss.value);
    return sum;
  };
  Tape tape(context);
  tape.backward(total_of(tape, tiny.model.losses(tape, batch)));
  int checked = 0;
  for (const Parameter& parameter : tiny.store.parameters()) {
    // One direction per tensor: along its own gradient, whose slope is the gradient's norm.
    if (!parameter.trainable) continue;
    const bool chosen = parameter.name.find("gate") != std::string::npos || parameter.name.ends_with(".row") ||
                        parameter.name.find("class_logits") != std::string::npos ||
                        parameter.name.find("kernel.weight") != std::string::npos ||
                        parameter.name.find("expand.weight") != std::string::npos ||
                        parameter.name.find("semantic") != std::string::npos ||
                        parameter.name.find("mask.output") != std::string::npos ||
                        parameter.name.find("query") != std::string::npos;
    if (!chosen) continue;
    const std::vector<float> gradient = parameter.gradient.to_host<float>(context);
    const std::vector<float> values = parameter.value.to_host<float>(context);
    double norm = 0;
    for (const float g : gradient) norm += static_cast<double>(g) * g;
    norm = std::sqrt(norm);
    if (norm < 1e-3) continue;
    const auto moved = [&](double step) {
      std::vector<float> at = values;
      for (size_t i = 0; i < at.size(); ++i) at[i] += static_cast<float>(step * gradient[i] / norm);
      parameter.value.copy_from_host(context, at.data());
      const double loss = total();
      parameter.value.copy_from_host(context, values.data());
      return loss;
    };
    const double step = 2e-3;
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    EXPECT_NEAR(slope, norm, 0.03 * norm + 2e-3) << parameter.name;
    ++checked;
  }
  EXPECT_GE(checked, 12);
}

// Cells whose kernels are unit vectors on features that hold one mask each.
struct HandMade {
  CellPredictions cells;
  Tensor features;
};

HandMade hand_made(Context& context, const std::vector<std::vector<float>>& masks, int64_t height, int64_t width,
                   const std::vector<std::tuple<int64_t, int, float, int>>& found /* row, class, logit, mask */) {
  const auto channels = static_cast<int64_t>(masks.size());
  HandMade made;
  made.cells.geometry = PyramidGeometry(1);
  for (const int64_t grid : {4, 3, 2, 2, 1}) made.cells.geometry.add_level(grid, grid, 1);
  const int64_t rows = made.cells.geometry.rows();
  std::vector<float> logits(static_cast<size_t>(rows * 3), -8.0f), kernels(static_cast<size_t>(rows * channels), 0.0f);
  for (const auto& [row, label, logit, mask] : found) {
    logits[static_cast<size_t>(row * 3 + label)] = logit;
    kernels[static_cast<size_t>(row * channels + mask)] = 1.0f;
  }
  std::vector<float> features;
  for (int64_t p = 0; p < height * width; ++p) {
    for (const std::vector<float>& mask : masks) features.push_back(mask[static_cast<size_t>(p)]);
  }
  made.cells.logits = Tensor::from_host<float>(context, {rows, 3}, logits);
  made.cells.kernels = Tensor::from_host<float>(context, {rows, channels}, kernels);
  made.features = Tensor::from_host<float>(context, {1, height, width, channels}, features);
  return made;
}

std::vector<float> block(int64_t height, int64_t width, int64_t x1, int64_t y1, int64_t x2, int64_t y2) {
  std::vector<float> values;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) values.push_back(x >= x1 && x < x2 && y >= y1 && y < y2 ? 6.0f : -6.0f);
  }
  return values;
}

std::vector<Detection> detect_one(Context& context, const HandMade& made, const ImageGeometry& geometry,
                                  const AnchorFreeConfig& config) {
  return unpack(context, detect_masks(context, made.cells, made.features, {geometry}, config), {geometry}).at(0);
}

void from_cells_to_masks(Context& context) {
  AnchorFreeConfig config = prediction_config();
  // A block of 4x3 and one of 5x5 pixels on a map of 8x8; the picture is 30x28 in an input of 32x32, original 60x56.
  const HandMade made = hand_made(context, {block(8, 8, 1, 1, 5, 4), block(8, 8, 3, 3, 8, 8)}, 8, 8,
                                  {{0, 1, 2.0f, 0}, {10, 2, 3.0f, 1}, {20, 2, 1.0f, 1}, {15, 0, -2.5f, 1}});
  const ImageGeometry geometry{60, 56, 30, 28};
  const std::vector<Detection> found = detect_one(context, made, geometry, config);
  // The second claim on mask 1 overlaps fully: 0.73 decays to 0.1; the class below the threshold of 0.1 is none.
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].label, 2);
  EXPECT_EQ(found[1].label, 1);
  EXPECT_EQ(found[2].label, 2);
  const double sure = 1 / (1 + std::exp(-6.0));
  EXPECT_NEAR(found[0].score, sure / (1 + std::exp(-3.0)), 1e-5);
  EXPECT_NEAR(found[2].score, sure / (1 + std::exp(-1.0)) * std::exp(-2.0), 1e-5);
  // Blocks of 4 input pixels, twice as many of the picture; edges lie halfway between cells' centres.
  EXPECT_NEAR(found[1].box.x1, 8, 1);
  EXPECT_NEAR(found[1].box.y1, 8, 1);
  EXPECT_NEAR(found[1].box.x2, 40, 1);
  EXPECT_NEAR(found[1].box.y2, 32, 1);
  EXPECT_EQ(found[0].box.x2, 56);  // cut off at the picture, not at the padding
  EXPECT_EQ(found[0].box.y2, 60);
  EXPECT_TRUE(found[0].has_mask);

  for (const int chunk : {1, 2, 3}) {
    AnchorFreeConfig chunked = config;
    chunked.chunk = chunk;
    const std::vector<Detection> same = detect_one(context, made, geometry, chunked);
    ASSERT_EQ(same.size(), found.size());
    for (size_t i = 0; i < same.size(); ++i) {
      EXPECT_EQ(same[i].score, found[i].score);
      EXPECT_EQ(same[i].mask.bits, found[i].mask.bits);
    }
  }
  config.suppression = MaskSuppression::mask;
  EXPECT_EQ(detect_one(context, made, geometry, config).size(), 2u);
  config.suppression = MaskSuppression::matrix_linear;
  EXPECT_EQ(detect_one(context, made, geometry, config).size(), 2u);
  config.max_detections = 1;
  EXPECT_EQ(detect_one(context, made, geometry, config).at(0).label, 2);
  config.least_areas = {25, 25, 25, 25, 25};  // more pixels are needed, not as many
  EXPECT_TRUE(detect_one(context, made, geometry, config).empty());
  // Masks are made for the best cells only.
  config = prediction_config();
  config.measured = 2;
  EXPECT_EQ(detect_one(context, made, geometry, config).size(), 2u);
  config.measured = 1;
  EXPECT_EQ(detect_one(context, made, geometry, config).at(0).label, 2);
}

TEST(YolactrInference, FromCellsToMasksOfThePicture) {
  CpuContext cpu(2);
  from_cells_to_masks(cpu);
}

TEST(YolactrInference, FromCellsToMasksOfThePictureOnADevice) {
  EmulatedContext emulated({}, make_closed_allocator());
  from_cells_to_masks(emulated);
}

void nothing_and_empty_masks(Context& context) {
  const AnchorFreeConfig config = prediction_config();
  const std::vector<float> nothing(64, -6.0f);
  const ImageGeometry geometry{32, 32, 32, 32};
  EXPECT_TRUE(detect_one(context, hand_made(context, {nothing}, 8, 8, {}), geometry, config).empty());
  EXPECT_TRUE(detect_one(context, hand_made(context, {nothing}, 8, 8, {{0, 0, 4.0f, 0}}), geometry, config).empty());
}

TEST(YolactrInference, NothingFoundAndEmptyMasks) {
  CpuContext cpu(1);
  nothing_and_empty_masks(cpu);
  EmulatedContext emulated({}, make_closed_allocator());
  nothing_and_empty_masks(emulated);
}

TEST(YolactrInference, TightMasks) {
  // 3 rows of 20 pixels, two bytes and a half.
  std::vector<uint8_t> bits(9, 0);
  EXPECT_EQ(tight_mask(bits.data(), 3, 20).width, 0);
  bits[3] = 0b10000000;  // row 1, x 7
  bits[8] = 0b00001000;  // row 2, x 19
  const BitMask mask = tight_mask(bits.data(), 3, 20);
  EXPECT_EQ(std::tie(mask.x, mask.y, mask.width, mask.height), std::make_tuple(7, 1, 13, 2));
  for (int y = 0; y < 2; ++y) {
    for (int x = 0; x < 13; ++x) EXPECT_EQ(mask.at(y, x), (y == 0 && x == 0) || (y == 1 && x == 12));
  }
}

TEST(YolactrInference, MemoryOfFiveHundredCandidates) {
  // The picture of the paper's size, planned: network and post-processing, without the weights.
  PlanContext context;
  ParameterStore store;
  ModelConfig config;
  config.system = "anchor_free_yolactr";
  config.backbone.stride_in_1x1 = false;
  const AnchorFreeYolactr model(config, store);
  store.allocate(context, 1, false);
  const size_t weights = context.allocator()->statistics().live;
  Tape tape(context, Tape::Mode::forward);
  model.detect(tape, Tensor::empty(context, {1, 800, 1344, 3}), {{480, 640, 800, 1333}});
  EXPECT_LT(context.allocator()->statistics().peak - weights, size_t{600} * 1000 * 1000);
}

TEST(YolactrOverfit, OnePicture) {
  CpuContext context(1);
  ModelConfig config = tiny_yolactr_config();
  config.anchor_free.mask_channels = 32;
  config.anchor_free.kernel_channels = 32;
  const TinyYolactr tiny(context, config);
  const TrainingBatch batch = painted_batch(context, 64, 64, {overlapping_pair()});
  Sgd optimizer(context, tiny.store, {.clip_norm = 10.0});
  float masks = 3, classes = 1;
  int iteration = 0;
  for (; iteration < 1500 && (masks > 0.15f || classes > 0.05f); ++iteration) {
    Tape tape(context);
    const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
    classes = scalar(context, losses.at(0).value);
    masks = scalar(context, losses.at(1).value);
    tape.backward(total_of(tape, losses));
    optimizer.step(context, iteration, 0.03 * std::min(1.0, (iteration + 1) / 50.0));
    tiny.store.zero_gradients(context);
  }
  EXPECT_LE(masks, 0.15f) << "after " << iteration << " iterations";
  Tape tape(context, Tape::Mode::forward);
  const std::vector<Detection> found = tiny.model.detect(tape, batch.images, {{64, 64, 64, 64}}).at(0);
  EXPECT_GT(mask_ap50(found, batch.targets[0].objects, 64, 64), 0.95);
}

}  // namespace
}  // namespace tessera
