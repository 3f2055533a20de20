// The instance protocol of the Cityscapes benchmark (evalInstanceLevelSemanticLabeling of cityscapesScripts), spec
// yolactr.md section 10. It differs from COCO's: an overlap must be greater than its threshold, ground truth below 100
// pixels does not count, a prediction on void, groups or such small objects is no error, and the average precision is
// the integral of the steps of the curve.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/annotations/cityscapes.h"
#include "data/annotations/coco_json.h"
#include "data/annotations/coco_results.h"

namespace tessera {

struct CityscapesPrediction {
  int class_id = 0;  // 24 ..
  double score = 0;
  Rle mask;
};

struct CityscapesEvaluation {
  struct ClassPrecision {
    int id = 0;
    std::string name;
    std::optional<double> ap, ap50;  // undefined without ground truth
  };
  std::optional<double> ap, ap50;  // means over the classes that have ground truth
  std::vector<ClassPrecision> per_class;
  int64_t images = 0, predictions = 0;
};

class CityscapesEvaluator {
 public:
  static constexpr int kThresholds = 10;        // 0.50, 0.55, ... 0.95
  static constexpr int64_t kLeastPixels = 100;  // of a ground-truth object

  // truth: the instance map of one picture. Throws Error(data) for a mask of another size; empty masks and classes that
  // are not evaluated are left out.
  void add(const Gray16& truth, std::span<const CityscapesPrediction> predictions);
  CityscapesEvaluation finish() const;

 private:
  static constexpr size_t kClasses = std::size(kCityscapesClasses);
  struct Curve {
    std::vector<std::pair<double, bool>> scored;  // score, and whether it is a hit
    int64_t missed = 0;                           // objects without prediction
  };
  struct PerClass {
    std::array<Curve, kThresholds> curves;
    bool has_truth = false, has_prediction = false;
  };

  std::array<PerClass, kClasses> classes_;
  int64_t images_ = 0, predictions_ = 0;
};

// All pictures of `truth` (made by convert_cityscapes), with their instance maps below gt_fine = ROOT/gtFine/SPLIT.
// Results need masks; those of other categories are left out. Throws Error(data).
CityscapesEvaluation evaluate_cityscapes(const CocoDataset& truth, const std::filesystem::path& gt_fine,
                                         const CocoResults& results);

std::string cityscapes_evaluation_to_json(const CityscapesEvaluation& evaluation);
std::string cityscapes_evaluation_table(const CityscapesEvaluation& evaluation);

}  // namespace tessera
