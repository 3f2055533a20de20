// What every segmentation system offers: losses for training, detections for inference. Applications know only this.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/annotations/annotations.h"
#include "engine/autograd/parameter_store.h"
#include "engine/autograd/tape.h"
#include "models/packed_detections.h"

namespace tessera {

struct TrainingBatch {
  Tensor images;                      // [N, H, W, 3] f32, normalised, padded with zeros on the right and below
  std::vector<ImageTargets> targets;  // N
  uint64_t seed = 0;
  uint64_t iteration = 0;  // with the seed: the key of all random choices inside the losses
};

struct NamedLoss {
  std::string name;  // "cls", "box", "ctr", "seg"; "cls", "mask", "sem"
  Variable value;    // one element; the total loss is the sum
};

struct NamedCount {
  std::string name;
  int64_t value = 0;
};

class System {
 public:
  virtual ~System() = default;

  // The network on a batch [N, H, W, 3] without losses or post-processing: what `model info` counts and `bench` times.
  virtual void forward(Tape& tape, const Tensor& images) const = 0;
  virtual std::vector<NamedLoss> losses(Tape& tape, const TrainingBatch& batch) const = 0;
  // How the targets of a batch came out, e.g. cells that several objects claimed; for the log.
  virtual std::vector<NamedCount> target_counts(const TrainingBatch&) const { return {}; }
  // Detections per image, best first, masks at original size. images as in TrainingBatch.
  std::vector<std::vector<Detection>> detect(Tape& tape, const Tensor& images,
                                             const std::vector<ImageGeometry>& geometry) const {
    return unpack(tape.context(), detect_packed(tape, images, geometry), geometry);
  }
  // The same, still on the device. On devices nothing waits for the host, and after the first run with these shapes
  // nothing is copied to the device: the launches can be recorded (models/inference.h).
  virtual std::vector<PackedDetections> detect_packed(Tape& tape, const Tensor& images,
                                                      const std::vector<ImageGeometry>& geometry) const = 0;

  // Multiples to which height and width of a batch are padded.
  virtual int size_divisor() const { return 32; }
  virtual bool predicts_masks() const = 0;
  virtual int classes() const = 0;
};

}  // namespace tessera
