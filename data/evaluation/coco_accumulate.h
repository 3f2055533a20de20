// Precision over recall of one category, and the means that COCO reports (COCOeval.accumulate and summarize).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "data/evaluation/coco_match.h"

namespace tessera {

// What the twelve numbers need: all areas with 1, 10 and 100 detections per picture, and each size with 100.
enum class Setting { all_1, all_10, all_100, small_100, medium_100, large_100 };
inline constexpr int kSettings = 6;

struct CategoryCurves {
  struct Curve {
    bool defined = false;                                // false: no object to be found
    std::array<double, kOverlapThresholds> precision{};  // mean over the 101 recall levels
    std::array<double, kOverlapThresholds> recall{};     // highest reached
  };
  std::array<Curve, kSettings> settings;
};

// buckets: those of one category, in ascending order of image ids.
CategoryCurves accumulate(std::span<const MatchedBucket* const> buckets);
// Means over the categories that have objects, in the order of kCocoMetricNames.
std::array<std::optional<double>, 12> summarize(std::span<const CategoryCurves> categories);

}  // namespace tessera
