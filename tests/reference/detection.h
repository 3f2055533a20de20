// Oracles of the path from a dense head to detections: every (row, class) is looked at, every pair of boxes compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace tessera::reference {

struct ScoredCell {
  double value;  // class probability * quality
  int row, category;
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// rule 0: class probability, 1: product, 2: root of the product. Rows [begin, end) of one image and level.
inline std::vector<ScoredCell> select_top_k(const std::vector<float>& logits, const std::vector<float>& quality,
                                            int classes, int begin, int end, int rule, double threshold, size_t k) {
  std::vector<ScoredCell> found;
  for (int row = begin; row < end; ++row) {
    for (int category = 0; category < classes; ++category) {
      const double probability = sigmoid(logits[static_cast<size_t>(row) * classes + category]);
      const double product = probability * (quality.empty() ? 1.0 : sigmoid(quality[row]));
      const double compared = rule == 0 ? probability : rule == 1 ? product : std::sqrt(product);
      if (compared > threshold) found.push_back({static_cast<float>(product), row, category});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.value > b.value; });
  found.resize(std::min(found.size(), k));
  return found;
}

struct ScoredBox {
  double x1, y1, x2, y2, score;
  int category, row;
};

inline double iou(const ScoredBox& a, const ScoredBox& b) {
  const double width = std::max(0.0, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const double height = std::max(0.0, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
  const double shared = width * height;
  const double united = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - shared;
  return united > 0 ? shared / united : 0;
}

inline std::vector<ScoredBox> nms(std::vector<ScoredBox> boxes, double threshold, size_t capacity, bool class_aware) {
  std::sort(boxes.begin(), boxes.end(), [](const auto& a, const auto& b) {
    return std::tuple(-a.score, a.row, a.category) < std::tuple(-b.score, b.row, b.category);
  });
  std::vector<bool> suppressed(boxes.size(), false);
  std::vector<ScoredBox> kept;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (suppressed[i]) continue;
    kept.push_back(boxes[i]);
    for (size_t j = i + 1; j < boxes.size(); ++j) {
      if (class_aware && boxes[i].category != boxes[j].category) continue;
      if (iou(boxes[i], boxes[j]) > threshold) suppressed[j] = true;
    }
  }
  kept.resize(std::min(kept.size(), capacity));
  return kept;
}

}  // namespace tessera::reference
