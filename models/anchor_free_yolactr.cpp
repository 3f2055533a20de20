#include "models/anchor_free_yolactr.h"

#include "models/anchor_free/inference.h"
#include "models/anchor_free/losses.h"

namespace tessera {

namespace {

ModelConfig checked(const ModelConfig& config) {
  validate(config);
  return resolved(config);
}

}  // namespace

AnchorFreeYolactr::AnchorFreeYolactr(const ModelConfig& config, ParameterStore& store)
    : config_(checked(config)),
      backbone_(ParameterScope(store, "backbone.bottom_up"), config_.backbone),
      fpn_(ParameterScope(store, "backbone"), config_.fpn, config_.backbone.channels),
      prediction_(ParameterScope(store, "prediction"), config_.anchor_free),
      mask_(ParameterScope(store, "mask"), config_.anchor_free) {
  if (config_.anchor_free.semantic) {
    semantic_.emplace(
        ParameterScope(store, "semantic"),
        Conv2dConfig{.in = config_.fpn.channels, .out = config_.classes, .initializer = Initializer::uniform_fan_in()});
  }
}

AnchorFreeYolactr::Output AnchorFreeYolactr::run(Tape& tape, const Tensor& images) const {
  TESSERA_CHECK(images.shape().rank() == 4 && images.extent(3) == 3 && images.extent(1) % config_.size_divisor == 0 &&
                    images.extent(2) % config_.size_divisor == 0,
                "images {}, padded to {}", images.shape().to_string(), config_.size_divisor);
  Output output;
  std::vector<Variable> maps;
  {
    Tape::Stage stage(tape, "backbone");
    maps = backbone_.forward(tape, images);
  }
  FpnFeatures pyramid;
  {
    Tape::Stage stage(tape, "fpn");
    pyramid = fpn_.forward(tape, maps);
    maps.clear();
  }
  output.cells = prediction_.forward(tape, pyramid.maps);
  if (semantic_ && tape.recording()) {
    Tape::Stage stage(tape, "semantic");
    output.semantic = semantic_->forward(tape, pyramid.map(config_.anchor_free.semantic_level));
  }
  Tape::Stage stage(tape, "mask_features");
  output.features = mask_.forward(tape, pyramid.map(2), pyramid.map(3), pyramid.map(4), output.cells.t5);
  return output;
}

void AnchorFreeYolactr::forward(Tape& tape, const Tensor& images) const { run(tape, images); }

std::vector<NamedLoss> AnchorFreeYolactr::losses(Tape& tape, const TrainingBatch& batch) const {
  const AnchorFreeConfig& config = config_.anchor_free;
  const int64_t height = batch.images.extent(1), width = batch.images.extent(2);
  const Output output = run(tape, batch.images);
  const GridTargets targets = assign_grid_targets(batch.targets, height, width, config);
  std::vector<NamedLoss> losses = {{"cls", class_loss(tape, output.cells, targets, config)},
                                   {"mask", pair_loss(tape, output.cells, output.features, targets, config)}};
  if (output.semantic.defined()) {
    losses.push_back(
        {"sem", semantic_loss(tape, output.semantic, semantic_targets(batch.targets, height, width, config), config)});
  }
  return losses;
}

std::vector<NamedCount> AnchorFreeYolactr::target_counts(const TrainingBatch& batch) const {
  const GridTargets targets =
      assign_grid_targets(batch.targets, batch.images.extent(1), batch.images.extent(2), config_.anchor_free);
  return {{"positives", targets.positives},
          {"shared_cells", targets.shared_cells},
          {"overwritten", targets.overwritten},
          {"without_cell", targets.without_cell}};
}

std::vector<PackedDetections> AnchorFreeYolactr::detect_packed(Tape& tape, const Tensor& images,
                                                               const std::vector<ImageGeometry>& geometry) const {
  TESSERA_CHECK(static_cast<int64_t>(geometry.size()) == images.extent(0), "{} geometries for {} images",
                geometry.size(), images.extent(0));
  const Tape::NoGrad inference(tape);
  const Output output = run(tape, images);
  return detect_masks(tape.context(), output.cells, output.features.value, geometry, config_.anchor_free);
}

}  // namespace tessera
