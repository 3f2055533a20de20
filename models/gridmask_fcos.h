// GridMask on FCOS: the backbone, the pyramid, the detector and the mask plug-in put together. Without masks it is FCOS
// alone. Parameter names are AdelaiDet's: backbone.bottom_up.*, backbone.fpn_*, proposal_generator.fcos_head.*,
// gridmask.pixel.*, gridmask.object.*.
#pragma once

#include <optional>

#include "models/fcos/head.h"
#include "models/fcos/targets.h"
#include "models/gridmask/object_branch.h"
#include "models/gridmask/pixel_branch.h"
#include "models/model_config.h"
#include "models/system.h"

namespace tessera {

class GridMaskFcos final : public System {
 public:
  // Declares the parameters in store, which must outlive the system. Throws Error(usage) for a config that cannot work.
  GridMaskFcos(const ModelConfig& config, ParameterStore& store);

  void forward(Tape& tape, const Tensor& images) const override;
  // "cls", "box", "ctr" and, with masks, "seg".
  std::vector<NamedLoss> losses(Tape& tape, const TrainingBatch& batch) const override;
  std::vector<PackedDetections> detect_packed(Tape& tape, const Tensor& images,
                                              const std::vector<ImageGeometry>& geometry) const override;

  int size_divisor() const override { return config_.size_divisor; }
  bool predicts_masks() const override { return pixel_.has_value(); }
  int classes() const override { return config_.classes; }
  const ModelConfig& config() const { return config_; }

  // What the parts put out, for losses, detection and comparison with other implementations.
  struct Output {
    FpnFeatures features;
    FcosOutput fcos;
    Variable pixels;          // X [N, h, w, dim]; undefined without masks
    Pyramid object_features;  // in front of the predicting convolution
  };
  Output run(Tape& tape, const Tensor& images) const;
  const ObjectBranch& object_branch() const { return *object_; }

 private:
  Variable mask_loss(Tape& tape, const Output& output, const FcosTargets& targets, const std::vector<LevelGrid>& grids,
                     const TrainingBatch& batch) const;

  ModelConfig config_;
  ResNet backbone_;
  Fpn fpn_;
  FcosHead head_;
  std::optional<PixelBranch> pixel_;
  std::optional<ObjectBranch> object_;
};

}  // namespace tessera
