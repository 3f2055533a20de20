// Matching of the detections of one picture with its ground truth (COCOeval.evaluateImg of pycocotools).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/evaluation/coco_eval.h"

namespace tessera {

inline constexpr int kOverlapThresholds = 10;  // 0.5, 0.55, ..., 0.95
inline constexpr int kAreaRanges = 4;          // all, small, medium, large
inline constexpr int kMaxDetections = 100;     // per picture and category

// The literal doubles of pycocotools: the ninth is 0.8999999999999999, the last 0.95.
double overlap_threshold(int index);

// Detections of one category in one picture, best first, and what became of them.
struct MatchedBucket {
  int category = 0;
  std::array<uint32_t, kAreaRanges> truths{};  // objects to be found per area range
  std::vector<double> scores;                  // [D]
  // Bit t: with overlap threshold t a hit or a false alarm; neither where the detection is ignored.
  struct Outcome {
    std::array<uint16_t, kAreaRanges> hit{}, miss{};
  };
  std::vector<Outcome> outcomes;  // [D]
};

// result_indices: the picture's entries of `results`, in the order of the list. Buckets in ascending order of category.
std::vector<MatchedBucket> match_image(const CocoDataset& truth, int image, const CocoResults& results,
                                       std::span<const uint32_t> result_indices, bool boxes_given,
                                       const CocoEvalOptions& options);

}  // namespace tessera
