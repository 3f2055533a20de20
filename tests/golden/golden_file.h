// A golden: what a PyTorch model made of the numbers of formula.h, kept as digests. Written by generate.py, read here.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/io/safetensors.h"
#include "models/model_config.h"
#include "models/system.h"

namespace tessera::golden {

// How ten steps were made.
struct TrainingFacts {
  int steps = 0;
  double learning_rate = 0, momentum = 0, weight_decay = 0, clip_norm = 0;
};

// What is wrong with a tensor beside its digest, in units of the greatest magnitude the digest names.
struct DigestDifference {
  double samples = 0;  // greatest difference of up to 64 elements
  double sum = 0;      // difference of the sums weighted with noise, over sqrt(elements): errors of all the others
};

class GoldenFile {
 public:
  // A path, or the name of a file in tests/golden/data without its extension.
  explicit GoldenFile(const std::filesystem::path& path);

  ModelConfig config() const;
  int64_t pictures() const { return pictures_; }
  int height() const { return height_; }
  int width() const { return width_; }
  const TrainingFacts& training() const { return training_; }
  const std::vector<ImageGeometry>& geometry() const { return geometry_; }
  std::vector<ImageTargets> scene() const;

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  std::vector<float> read(const std::string& name) const;
  std::vector<int64_t> shape(const std::string& name) const;
  // Name of the photograph it is about, in photos/ of the shared data; empty: pictures of the formula.
  const std::string& photo() const { return photo_; }
  // One bit a pixel, each mask from a byte on, of "<prefix>masks" or the run lengths in "<prefix>mask_runs"; empty: the
  // golden has none.
  std::vector<uint8_t> masks(const std::string& prefix, size_t pixels) const;
  // Names of all tensors "kind/<name>", without the kind.
  std::set<std::string> names(const std::string& kind) const;

  // rectified: the digest is of values that a ReLU has not reached yet.
  DigestDifference compare(const std::string& kind, const std::string& name, const std::vector<float>& values,
                           bool rectified = false) const;

 private:
  SafetensorsFile file_;
  int64_t pictures_ = 0;
  int height_ = 0, width_ = 0;
  std::string photo_;
  TrainingFacts training_;
  std::vector<ImageGeometry> geometry_;
};

}  // namespace tessera::golden
