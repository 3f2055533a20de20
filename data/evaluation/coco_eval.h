// COCO average precision and recall of detections, equal to pycocotools 2.0.11 (COCOeval) to rounding. The areas of
// detections follow its loadRes: width * height of the boxes if the first result has one, else pixels of the masks.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/annotations/coco_json.h"
#include "data/annotations/coco_results.h"

namespace tessera {

enum class OverlapKind { segm, bbox };

struct CocoEvalOptions {
  OverlapKind overlap = OverlapKind::segm;
  bool use_categories = true;  // false: objects of all categories are matched with each other
  int threads = 0;             // 0: as many as OpenMP gives; the result does not depend on it
};

// The twelve numbers in pycocotools' order.
inline constexpr std::array<const char*, 12> kCocoMetricNames = {"AP",  "AP50", "AP75",  "APs", "APm", "APl",
                                                                 "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};

struct CategoryPrecision {
  int64_t id = -1;
  std::string name;
  std::optional<double> ap;  // undefined without ground truth
};

struct CocoEvaluation {
  OverlapKind overlap = OverlapKind::segm;
  std::array<std::optional<double>, 12> metrics;  // undefined where the ground truth has no object of the kind
  std::vector<CategoryPrecision> per_category;    // ascending ids; one entry with id -1 without categories
  int64_t unknown_category = 0;                   // results left out: category not in the ground truth

  const std::optional<double>& metric(std::string_view name) const;
};

// Throws Error(data) naming the index of a result whose image is unknown, whose mask has another size than its picture,
// or that lacks the box or mask asked for.
CocoEvaluation evaluate_coco(const CocoDataset& truth, const CocoResults& results, const CocoEvalOptions& options = {});

// {"segm": {"AP": ..., "per_category": [{"id", "name", "AP"}]}, "bbox": {...}} with all digits, null where undefined.
std::string evaluations_to_json(std::span<const CocoEvaluation> evaluations);
// The same for people, three digits, "n/a (no large objects)" where undefined.
std::string evaluation_table(const CocoEvaluation& evaluation);

}  // namespace tessera
