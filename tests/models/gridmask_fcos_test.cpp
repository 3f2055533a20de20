// The composition: shapes, losses, gradients, degenerate pictures, determinism.
#include "models/gridmask_fcos.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "models/fcos/targets.h"
#include "models/gridmask/loss.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using namespace testing_support;

TrainingBatch two_pictures(Context& context) {
  return painted_batch(
      context, 64, 96,
      {{ellipse({4, 6, 40, 50}, 0, 64, 96), ellipse({30, 20, 90, 60}, 1, 64, 96), ellipse({70, 4, 82, 14}, 2, 64, 96)},
       {ellipse({20, 8, 60, 56}, 2, 64, 96)}});
}

double total_loss(Context& context, const GridMaskFcos& model, const TrainingBatch& batch) {
  Tape tape(context, Tape::Mode::forward);
  double total = 0;
  for (const NamedLoss& loss : model.losses(tape, batch)) total += scalar(context, loss.value);
  return total;
}

void add_gradients(Context& context, const GridMaskFcos& model, const TrainingBatch& batch) {
  Tape tape(context);
  tape.backward(total_of(tape, model.losses(tape, batch)));
}

TEST(GridMaskFcos, ShapesOfTheOutput) {
  CpuContext context(1);
  TinyModel tiny(context);
  Tape tape(context, Tape::Mode::forward);
  const GridMaskFcos::Output output = tiny.model.run(tape, Tensor::zeros(context, {2, 64, 96, 3}));
  const PyramidGeometry& geometry = output.features.pyramid.geometry;
  ASSERT_EQ(geometry.level_count(), 5);
  EXPECT_EQ(geometry.level(0).height, 16);
  EXPECT_EQ(geometry.level(0).width, 24);
  EXPECT_EQ(geometry.level(4).height, 1);
  EXPECT_EQ(geometry.level(4).width, 2);
  EXPECT_EQ(geometry.level(4).stride, 64);
  const int64_t rows = geometry.rows();
  EXPECT_EQ(output.fcos.logits.rows.shape(), Shape({rows, 3}));
  EXPECT_EQ(output.fcos.distances.rows.shape(), Shape({rows, 4}));
  EXPECT_EQ(output.fcos.centerness.rows.shape(), Shape({rows, 1}));
  EXPECT_EQ(output.pixels.shape(), Shape({2, 16, 24, 4}));
  EXPECT_EQ(output.object_features.rows.shape(), Shape({rows, 16}));
  EXPECT_EQ(tiny.model.object_branch().embeddings(tape, output.object_features).rows.shape(), Shape({rows, 72}));
}

TEST(GridMaskFcos, EmbeddingsAtChosenCellsEqualTheDenseOnes) {
  CpuContext context(1);
  TinyModel tiny(context);
  Tape tape(context, Tape::Mode::forward);
  const TrainingBatch batch = two_pictures(context);
  const GridMaskFcos::Output output = tiny.model.run(tape, batch.images);
  const std::vector<float> dense =
      tiny.model.object_branch().embeddings(tape, output.object_features).rows.value.to_host<float>(context);
  std::vector<int32_t> rows = {0, 23, 24, 383, 384, 700, 5, 5};
  rows.push_back(static_cast<int32_t>(output.features.pyramid.geometry.rows()) - 1);
  const Tensor index = Tensor::from_host<int32_t>(context, {static_cast<int64_t>(rows.size())}, rows);
  const std::vector<float> chosen =
      tiny.model.object_branch().embeddings_at(tape, output.object_features, index).value.to_host<float>(context);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t c = 0; c < 72; ++c) {
      EXPECT_NEAR(chosen[i * 72 + c], dense[static_cast<size_t>(rows[i]) * 72 + c], 1e-5);
    }
  }
}

TEST(GridMaskFcos, LossesAtTheStart) {
  CpuContext context(1);
  TinyModel tiny(context);
  Tape tape(context, Tape::Mode::forward);
  const std::vector<NamedLoss> losses = tiny.model.losses(tape, two_pictures(context));
  ASSERT_EQ(losses.size(), 4u);
  EXPECT_EQ(losses[0].name, "cls");
  EXPECT_EQ(losses[1].name, "box");
  EXPECT_EQ(losses[2].name, "ctr");
  EXPECT_EQ(losses[3].name, "seg");
  EXPECT_GT(scalar(context, losses[0].value), 0.3f);
  EXPECT_LT(scalar(context, losses[0].value), 2.0f);
  EXPECT_GT(scalar(context, losses[1].value), 0.0f);
  EXPECT_NEAR(scalar(context, losses[2].value), 0.693, 0.02);  // logits near zero
  EXPECT_GT(scalar(context, losses[3].value), 1.2f);           // section 12.13: random cosines
  EXPECT_LT(scalar(context, losses[3].value), 2.6f);
}

// The loss moves along the gradient of one parameter tensor as its gradient says.
TEST(GridMaskFcos, GradientOfTheTotalLoss) {
  CpuContext context(1);
  std::vector<std::pair<std::string, std::function<void(ModelConfig&)>>> variants = {
      {"default", [](ModelConfig&) {}},
      {"one level, stride of X",
       [](ModelConfig& config) {
         config.gridmask.pixel_levels = 1;
         config.gridmask.train_stride = 4;
         config.gridmask.pixel_norm.kind = NormKind::none;
         config.gridmask.empty_cell_norm = EmptyCellNorm::literal;
       }},
      {"panoptic, frozen batch norm, bottleneck",
       [](ModelConfig& config) {
         config.fpn.first_level = 3;
         config.backbone.blocks = {1, 1, 1, 1};
         config.backbone.channels = {16, 16, 16, 16};
         config.backbone.block = ResNetConfig::Block::bottleneck;
         config.backbone.groups = 2;
         config.backbone.width_per_group = 4;
         config.backbone.norm.kind = NormKind::frozen_bn;
         config.gridmask.pixel = PixelBranchKind::panoptic_fpn;
         config.gridmask.train_box = TrainBox::jitter;
       }},
      {"2019", [](ModelConfig& config) { config.fcos.activation = RegressionActivation::exp; }},
  };
  for (const auto& [name, change] : variants) {
    SCOPED_TRACE(name);
    ModelConfig config = tiny_config();
    change(config);
    TinyModel tiny(context, config);
    const TrainingBatch batch =
        painted_batch(context, 64, 64, {{ellipse({4, 6, 40, 50}, 0, 64, 64), ellipse({30, 20, 62, 60}, 1, 64, 64)}});
    add_gradients(context, tiny.model, batch);
    int checked = 0, skipped = 0;
    for (const Parameter& parameter : tiny.store.parameters()) {
      if (!parameter.trainable || skipped++ % 3 != 0) continue;  // every third: the test is about the wiring
      const std::vector<float> gradient = parameter.gradient.to_host<float>(context);
      double norm = 0;
      for (const float value : gradient) norm += static_cast<double>(value) * value;
      norm = std::sqrt(norm);
      if (norm < 0.05) continue;  // too flat for differences of single-precision losses
      const std::vector<float> start = parameter.value.to_host<float>(context);
      const double step = std::min(2e-3, 0.005 / norm);
      const auto loss_at = [&](double distance) {
        std::vector<float> moved = start;
        for (size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(distance * gradient[i] / norm);
        parameter.value.copy_from_host(context, moved.data());
        return total_loss(context, tiny.model, batch);
      };
      const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
      parameter.value.copy_from_host(context, start.data());
      EXPECT_NEAR(slope, norm, 0.03 * norm + 2e-3) << parameter.name;
      ++checked;
    }
    EXPECT_GT(checked, 6);
  }
}

TEST(GridMaskFcos, PicturesWithoutObjects) {
  CpuContext context(1);
  TinyModel tiny(context);
  for (const bool degenerate : {false, true}) {
    TrainingBatch batch = painted_batch(context, 64, 64, {{}});
    // A box between cell centres and one without extent: ground truth, but nothing answers for it.
    if (degenerate) {
      batch.targets[0].objects = {ellipse({3, 3, 4, 4}, 0, 64, 64), ellipse({20, 20, 20, 30}, 1, 64, 64)};
    }
    Tape tape(context);
    const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
    EXPECT_GT(scalar(context, losses[0].value), 0);
    EXPECT_TRUE(std::isfinite(scalar(context, losses[0].value)));
    for (size_t i = 1; i < 4; ++i) EXPECT_EQ(scalar(context, losses[i].value), 0) << losses[i].name;
    tape.backward(losses[0].value);
    for (const Parameter& parameter : tiny.store.parameters()) {
      for (const float value : parameter.gradient.to_host<float>(context)) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

TEST(GridMaskFcos, OnePixelObjects) {
  CpuContext context(1);
  TinyModel tiny(context);
  // Around the cell centre (34, 34) of P2.
  const TrainingBatch batch = painted_batch(context, 64, 64, {{ellipse({33.5f, 33.5f, 34.5f, 34.5f}, 0, 64, 64)}});
  Tape tape(context);
  for (const NamedLoss& loss : tiny.model.losses(tape, batch)) {
    EXPECT_TRUE(std::isfinite(scalar(context, loss.value))) << loss.name;
  }
}

TEST(GridMaskFcos, EveryTrainingKnobGivesFiniteLosses) {
  CpuContext context(1);
  const TrainingBatch batch = two_pictures(context);
  std::vector<std::function<void(ModelConfig&)>> changes;
  for (const TrainBox box : {TrainBox::gt, TrainBox::pred, TrainBox::jitter}) {
    changes.push_back([box](ModelConfig& config) { config.gridmask.train_box = box; });
  }
  for (const int stride : {1, 2, 4, 8, 16, 32}) {
    changes.push_back([stride](ModelConfig& config) { config.gridmask.train_stride = stride; });
  }
  for (int k = 1; k <= 5; ++k) changes.push_back([k](ModelConfig& config) { config.gridmask.k = k; });
  for (const std::string& variant : fcos_variant_names()) {
    changes.push_back([variant](ModelConfig& config) {
      const FcosConfig sizes = config.fcos;
      config.fcos = fcos_variant(variant);
      config.fcos.tower_convs = sizes.tower_convs;
      config.fcos.norm_groups = sizes.norm_groups;
      config.fcos.range_scale = sizes.range_scale;
    });
  }
  changes.push_back([](ModelConfig& config) { config.fcos.box_quality = BoxQuality::iou; });
  changes.push_back([](ModelConfig& config) { config.fcos.tower_convs = config.gridmask.hidden_convs = 0; });
  changes.push_back([](ModelConfig& config) { config.gridmask.max_positives = 3; });
  changes.push_back([](ModelConfig& config) { config.gridmask.positives = Positives::topk_per_image; });
  changes.push_back(
      [](ModelConfig& config) { config.backbone.norm.kind = config.gridmask.pixel_norm.kind = NormKind::bn; });
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    ModelConfig config = tiny_config();
    changes[i](config);
    TinyModel tiny(context, config);
    Tape tape(context);
    const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
    for (const NamedLoss& loss : losses) {
      EXPECT_TRUE(std::isfinite(scalar(context, loss.value))) << loss.name;
      EXPECT_GT(scalar(context, loss.value), 0) << loss.name;
    }
    tape.backward(losses.back().value);
    double sum = 0;
    for (const float value : tiny.store.gradients().to_host<float>(context)) {
      ASSERT_TRUE(std::isfinite(value));
      sum += std::abs(value);
    }
    EXPECT_GT(sum, 0);
  }
}

// topk_per_image against its definition written out: the loss and every gradient are those of the cells chosen here,
// bit by bit, so nothing reaches another cell; and choosing sends nothing back into the scores.
TEST(GridMaskFcos, TheBestCellsOfEveryObjectLearnItsMask) {
  CpuContext context(1);
  const TrainingBatch batch = two_pictures(context);
  ModelConfig config = tiny_config();
  config.gridmask.positives = Positives::topk_per_image;
  config.gridmask.topk_per_image = 7;
  TinyModel tiny(context, config);
  // Scores that differ: fresh weights put all of them near one value.
  for (const Parameter& parameter : tiny.store.parameters()) {
    if (!parameter.name.ends_with("cls_logits.weight") && !parameter.name.ends_with("ctrness.weight")) continue;
    std::vector<float> values = parameter.value.to_host<float>(context);
    for (float& value : values) value *= 100;
    parameter.value.copy_from_host(context, values.data());
  }
  Tape tape(context);
  const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
  ASSERT_EQ(losses[3].name, "seg");
  tape.backward(losses[3].value);
  const std::vector<float> gradients = tiny.store.gradients().to_host<float>(context);
  double at_scores = 0, elsewhere = 0;
  for (const Parameter& parameter : tiny.store.parameters()) {
    const bool score =
        parameter.name.find("cls_") != std::string::npos || parameter.name.find("ctrness") != std::string::npos;
    for (const float value : parameter.gradient.to_host<float>(context))
      (score ? at_scores : elsewhere) += std::abs(value);
  }
  EXPECT_EQ(at_scores, 0);
  EXPECT_GT(elsewhere, 0);

  TinyModel other(context, config);
  for (size_t i = 0; i < tiny.store.parameters().size(); ++i) {
    const std::vector<float> values = tiny.store.parameters()[i].value.to_host<float>(context);
    other.store.parameters()[i].value.copy_from_host(context, values.data());
  }
  Tape plain(context);
  const GridMaskFcos::Output output = other.model.run(plain, batch.images);
  const PyramidGeometry& geometry = output.features.pyramid.geometry;
  const FcosTargets targets =
      assign_fcos_targets(geometry, level_grids(geometry, 64, 96, config.fcos), batch.targets, config.fcos);
  const std::vector<float> logits = output.fcos.logits.rows.value.to_host<float>(context),
                           centerness = output.fcos.centerness.rows.value.to_host<float>(context);
  const auto score = [&](const PositiveCell& cell) {
    const auto row = static_cast<size_t>(cell.row);
    double best = 0;
    for (size_t c = 0; c < 3; ++c) best = std::max(best, 1 / (1 + std::exp(-static_cast<double>(logits[3 * row + c]))));
    return best / (1 + std::exp(-static_cast<double>(centerness[row])));
  };
  // 7 for three objects of the first picture are 2 each, the second picture has one object.
  const std::vector<std::vector<size_t>> wanted = {{2, 2, 2}, {7}};
  std::vector<GridSample> samples;
  std::vector<int32_t> rows;
  size_t left_out = 0;
  for (const PositiveCell& cell : targets.positives) {
    size_t better = 0;
    for (const PositiveCell& rival : targets.positives) {
      better += rival.image == cell.image && rival.object == cell.object && score(rival) > score(cell);
    }
    const auto image = static_cast<size_t>(cell.image), object = static_cast<size_t>(cell.object);
    if (better >= wanted[image][object]) {
      ++left_out;
      continue;
    }
    samples.push_back({cell.row, cell.image, cell.object, batch.targets[image].objects[object].box});
    rows.push_back(cell.row);
  }
  EXPECT_EQ(samples.size(), 2u + 2 + 2 + 7);
  EXPECT_GT(left_out, 20u);
  const Tensor index = Tensor::from_host<int32_t>(context, {static_cast<int64_t>(rows.size())}, rows);
  const Variable objects = other.model.object_branch().embeddings_at(plain, output.object_features, index);
  const Variable loss = gridmask_loss(plain, output.pixels, 4, objects, samples, batch.targets, config.gridmask);
  EXPECT_EQ(scalar(context, loss), scalar(context, losses[3].value));
  plain.backward(loss);
  EXPECT_EQ(other.store.gradients().to_host<float>(context), gradients);
}

TEST(GridMaskFcos, SameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<float>> gradients;
  for (const int threads : {1, 2}) {
    CpuContext context(threads);
    TinyModel tiny(context);
    add_gradients(context, tiny.model, two_pictures(context));
    gradients.push_back(tiny.store.gradients().to_host<float>(context));
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(GridMaskFcos, FrozenStagesKeepNothingForBackward) {
  CpuContext context(1);
  ModelConfig config = tiny_config();
  TinyModel free(context, config);
  config.backbone.freeze_at = 2;
  TinyModel frozen(context, config);
  const TrainingBatch batch = two_pictures(context);
  Tape free_tape(context), frozen_tape(context);
  free.model.losses(free_tape, batch);
  frozen.model.losses(frozen_tape, batch);
  EXPECT_LT(frozen_tape.node_count(), free_tape.node_count());
  EXPECT_LT(frozen_tape.saved_bytes(), free_tape.saved_bytes());
  EXPECT_LT(frozen.store.trainable_elements(), free.store.trainable_elements());
}

TEST(GridMaskFcos, RefusesAnUnpaddedBatch) {
  CpuContext context(1);
  TinyModel tiny(context);
  Tape tape(context, Tape::Mode::forward);
  EXPECT_THROW(tiny.model.forward(tape, Tensor::zeros(context, {1, 60, 64, 3})), Error);
}

}  // namespace
}  // namespace tessera
