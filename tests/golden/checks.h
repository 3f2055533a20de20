// A network of ours beside a golden of PyTorch's: activations, losses, gradients, training, detections.
#pragma once

#include <memory>
#include <optional>

#include "models/backbone/resnet.h"
#include "tests/golden/golden_file.h"

namespace tessera::golden {

// The network of a golden, or its backbone alone where the golden knows no more, with the weights of the formula.
class GoldenModel {
 public:
  explicit GoldenModel(const std::filesystem::path& golden, int threads = 2);

  // Every activation that our network reports is in the golden and the other way round; each within 1e-4 of its scale.
  void check_activations();
  // Losses of the first step to 1e-5, every gradient to 1e-3 of its scale; losses of all steps to 1e-4, and the trained
  // parameters with them.
  void check_training();
  // Boxes (where the golden has them) within 0.05 pixels, scores within 1e-4, labels, the same order up to ties; of the
  // pixels of the pictures 99.95 % in every mask, all masks together.
  void check_detections();

 private:
  CpuContext context_;
  GoldenFile file_;
  ParameterStore store_;
  std::unique_ptr<System> system_;
  std::optional<ResNet> backbone_;  // instead of a system
  Tensor pictures_;
};

// One picture's detections beside "<prefix>boxes", "scores", "labels", "masks" of the golden.
void check_detections(const GoldenFile& file, const std::string& prefix, const std::vector<Detection>& ours, int height,
                      int width);

}  // namespace tessera::golden
