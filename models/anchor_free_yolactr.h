// The anchor-free YOLACTR: backbone, pyramid P2..P6, prediction network on grids, mask features and dynamic kernels.
// Every cell of a grid predicts classes and the kernel of one mask; there are no boxes. Parameter names:
// backbone.bottom_up.*, backbone.fpn_*, prediction.*, mask.*, semantic.*.
#pragma once

#include <optional>

#include "models/anchor_free/mask_features.h"
#include "models/anchor_free/prediction.h"
#include "models/anchor_free/targets.h"
#include "models/backbone/resnet.h"
#include "models/model_config.h"
#include "models/neck/fpn.h"
#include "models/system.h"

namespace tessera {

class AnchorFreeYolactr final : public System {
 public:
  // Declares the parameters in store, which must outlive the system. Throws Error(usage) for a config that cannot work.
  AnchorFreeYolactr(const ModelConfig& config, ParameterStore& store);

  // On a tape that records also the semantic head, which only training uses.
  void forward(Tape& tape, const Tensor& images) const override;
  // "cls", "mask" and, with a semantic head, "sem".
  std::vector<NamedLoss> losses(Tape& tape, const TrainingBatch& batch) const override;
  std::vector<NamedCount> target_counts(const TrainingBatch& batch) const override;
  std::vector<PackedDetections> detect_packed(Tape& tape, const Tensor& images,
                                              const std::vector<ImageGeometry>& geometry) const override;

  int size_divisor() const override { return config_.size_divisor; }
  bool predicts_masks() const override { return true; }
  int classes() const override { return config_.classes; }
  const ModelConfig& config() const { return config_; }

  // What the parts put out, for losses, detection and comparison with other implementations.
  struct Output {
    CellPredictions cells;
    Variable features;  // F [N, H / 4, W / 4, kernel channels]
    Variable semantic;  // logits [N, h, w, classes]; undefined unless the tape records
  };
  Output run(Tape& tape, const Tensor& images) const;

 private:
  ModelConfig config_;
  ResNet backbone_;
  Fpn fpn_;
  PredictionNetwork prediction_;
  MaskFeatures mask_;
  std::optional<Conv2d> semantic_;
};

}  // namespace tessera
