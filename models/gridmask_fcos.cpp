#include "models/gridmask_fcos.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/row_gather.h"
#include "models/fcos/decode.h"
#include "models/fcos/losses.h"
#include "models/gridmask/inference.h"
#include "models/gridmask/loss.h"

namespace tessera {

namespace {

ModelConfig checked(const ModelConfig& config) {
  validate(config);
  return resolved(config);
}

// [cells, channels]: what the network says at the given cells, as numbers to decide by: no gradient flows through them.
std::vector<float> values_at(Tape& tape, const Pyramid& output, const std::vector<PositiveCell>& cells) {
  Tape::NoGrad constant(tape);
  std::vector<int32_t> rows;
  for (const PositiveCell& cell : cells) rows.push_back(cell.row);
  const Tensor index = Tensor::from_host<int32_t>(tape.context(), {static_cast<int64_t>(rows.size())}, rows, "targets");
  return row_gather(tape, output.rows, index).value.to_host<float>(tape.context());
}

// Predicted boxes of the given cells, input pixels. They define grid cells only.
std::vector<Box> predicted_boxes(Tape& tape, const Pyramid& distances, const std::vector<PositiveCell>& cells,
                                 const std::vector<LevelGrid>& grids) {
  const std::vector<float> values = values_at(tape, distances, cells);
  std::vector<Box> boxes;
  for (size_t i = 0; i < cells.size(); ++i) {
    const float* side = values.data() + 4 * i;
    const float unit = grids[static_cast<size_t>(cells[i].level)].unit;
    boxes.push_back({cells[i].x - unit * side[0], cells[i].y - unit * side[1], cells[i].x + unit * side[2],
                     cells[i].y + unit * side[3]});
  }
  return boxes;
}

// What detection would rank the cells by: largest class probability x centerness probability.
std::vector<MaskCandidate> scored(Tape& tape, const FcosOutput& output, const std::vector<PositiveCell>& cells) {
  if (cells.empty()) return {};
  const auto probability = [](float logit) { return 1 / (1 + std::exp(-logit)); };
  const std::vector<float> logits = values_at(tape, output.logits, cells),
                           centerness = values_at(tape, output.centerness, cells);
  const size_t classes = logits.size() / cells.size();
  std::vector<MaskCandidate> candidates;
  for (size_t i = 0; i < cells.size(); ++i) {
    const float* of_cell = logits.data() + classes * i;
    const float best = *std::max_element(of_cell, of_cell + classes);
    candidates.push_back({cells[i].image, cells[i].object, probability(best) * probability(centerness[i])});
  }
  return candidates;
}

}  // namespace

GridMaskFcos::GridMaskFcos(const ModelConfig& config, ParameterStore& store)
    : config_(checked(config)),
      backbone_(ParameterScope(store, "backbone.bottom_up"), config_.backbone),
      fpn_(ParameterScope(store, "backbone"), config_.fpn, config_.backbone.channels),
      head_(ParameterScope(store, "proposal_generator.fcos_head"), config_.fcos, FpnConfig::kLevels) {
  if (!config_.has_masks()) return;
  pixel_.emplace(ParameterScope(store, "gridmask.pixel"), config_.gridmask, config_.fpn.first_level,
                 config_.fpn.channels);
  object_.emplace(ParameterScope(store, "gridmask.object"), config_.gridmask, config_.fpn.channels);
}

GridMaskFcos::Output GridMaskFcos::run(Tape& tape, const Tensor& images) const {
  TESSERA_CHECK(images.shape().rank() == 4 && images.extent(3) == 3 && images.extent(1) % config_.size_divisor == 0 &&
                    images.extent(2) % config_.size_divisor == 0,
                "images {}, padded to {}", images.shape().to_string(), config_.size_divisor);
  Output output;
  {
    std::vector<Variable> maps;  // gone before the heads, which need memory
    {
      Tape::Stage stage(tape, "backbone");
      maps = backbone_.forward(tape, images);
    }
    Tape::Stage stage(tape, "fpn");
    output.features = fpn_.forward(tape, maps);
  }
  {
    Tape::Stage stage(tape, "fcos_head");
    output.fcos = head_.forward(tape, output.features.pyramid);
  }
  if (pixel_) {
    Tape::Stage stage(tape, "gridmask_pixel");
    output.pixels = pixel_->forward(tape, [&](int level) { return output.features.map(level); });
  }
  if (object_) {
    Tape::Stage stage(tape, "gridmask_object");
    output.object_features = object_->features(tape, output.features.pyramid);
  }
  return output;
}

void GridMaskFcos::forward(Tape& tape, const Tensor& images) const {
  const Output output = run(tape, images);
  if (!object_) return;
  Tape::Stage stage(tape, "gridmask_object");
  object_->embeddings(tape, output.object_features);
}

std::vector<NamedLoss> GridMaskFcos::losses(Tape& tape, const TrainingBatch& batch) const {
  const Output output = run(tape, batch.images);
  const PyramidGeometry& geometry = output.features.pyramid.geometry;
  const std::vector<LevelGrid> grids =
      level_grids(geometry, batch.images.extent(1), batch.images.extent(2), config_.fcos);
  const FcosTargets targets = assign_fcos_targets(geometry, grids, batch.targets, config_.fcos);

  Tape::Stage stage(tape, "losses");
  const FcosLosses fcos = fcos_losses(tape, output.fcos, targets, config_.fcos);
  std::vector<NamedLoss> losses = {{"cls", fcos.classification}, {"box", fcos.box}, {"ctr", fcos.centerness}};
  if (object_) losses.push_back({"seg", mask_loss(tape, output, targets, grids, batch)});
  return losses;
}

Variable GridMaskFcos::mask_loss(Tape& tape, const Output& output, const FcosTargets& targets,
                                 const std::vector<LevelGrid>& grids, const TrainingBatch& batch) const {
  const GridMaskConfig& config = config_.gridmask;
  const std::vector<size_t> chosen =
      config.positives == Positives::random
          ? draw_positives(targets.positives.size(), static_cast<size_t>(config.max_positives), batch.seed,
                           batch.iteration)
          : best_positives(scored(tape, output.fcos, targets.positives), static_cast<size_t>(config.topk_per_image));
  std::vector<PositiveCell> cells;
  for (const size_t index : chosen) cells.push_back(targets.positives[index]);
  if (cells.empty()) return Tensor::zeros(tape.context(), {1}, DType::f32, "loss");

  std::vector<Box> predicted;
  if (config.train_box == TrainBox::pred) predicted = predicted_boxes(tape, output.fcos.distances, cells, grids);
  std::vector<GridSample> samples;
  std::vector<int32_t> rows;
  for (size_t i = 0; i < cells.size(); ++i) {
    const PositiveCell& cell = cells[i];
    Box box = batch.targets[static_cast<size_t>(cell.image)].objects[static_cast<size_t>(cell.object)].box;
    if (config.train_box == TrainBox::jitter) box = jitter_box(box, batch.seed, batch.iteration, i);
    if (config.train_box == TrainBox::pred) box = predicted[i];
    samples.push_back({cell.row, cell.image, cell.object, box});
    rows.push_back(cell.row);
  }
  const Tensor index = Tensor::from_host<int32_t>(tape.context(), {static_cast<int64_t>(rows.size())}, rows, "targets");
  const Variable objects = object_->embeddings_at(tape, output.object_features, index);
  return gridmask_loss(tape, output.pixels, pixel_->stride(), objects, samples, batch.targets, config);
}

std::vector<PackedDetections> GridMaskFcos::detect_packed(Tape& tape, const Tensor& images,
                                                          const std::vector<ImageGeometry>& geometry) const {
  const int64_t count = images.extent(0);
  TESSERA_CHECK(static_cast<int64_t>(geometry.size()) == count, "{} geometries for {} images", geometry.size(), count);
  Context& context = tape.context();
  const Tape::NoGrad inference(tape);
  const Output output = run(tape, images);
  const Candidates best =
      fcos_detections(context, output.fcos, geometry, images.extent(1), images.extent(2), config_.fcos);
  const int64_t capacity = best.capacity();
  Variable objects;
  if (object_) {
    const Tensor rows = best.rows.reshape({best.rows.elements()});
    objects = object_->embeddings_at(tape, output.object_features, rows);
  }
  std::vector<PackedDetections> detections;
  for (int64_t image = 0; image < count; ++image) {
    PackedDetections& packed = detections.emplace_back();
    packed.count = best.counts.slice(image, image + 1);
    packed.scores = best.scores.slice(image, image + 1).reshape({capacity});
    packed.labels = best.classes.slice(image, image + 1).reshape({capacity});
    packed.boxes = best.boxes.slice(image, image + 1).reshape({capacity, 4});
    if (!object_) continue;
    const GridMasks masks =
        gridmask_masks(context,
                       {output.pixels.value.slice(image, image + 1), pixel_->stride(),
                        objects.value.slice(image * capacity, (image + 1) * capacity), packed.boxes, packed.count},
                       geometry[static_cast<size_t>(image)], config_.gridmask);
    packed.rectangles = masks.rectangles;
    packed.offsets = masks.offsets;
    packed.bits = masks.bits;
  }
  return detections;
}

}  // namespace tessera
