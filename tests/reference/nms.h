// Oracle of non-maximum suppression: every pair of boxes is compared.
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

namespace tessera::reference {

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
