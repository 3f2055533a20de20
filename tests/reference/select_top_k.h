// Oracle of the selection over a dense head: every row and class is looked at.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera::reference {

struct ScoredCell {
  double value;  // class probability * quality
  int row, category;
};

// rule 0: class probability, 1: product, 2: root of the product. Rows [begin, end) of one image and level.
inline std::vector<ScoredCell> select_top_k(const std::vector<float>& logits, const std::vector<float>& quality,
                                            int classes, int begin, int end, int rule, double threshold, size_t k) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
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

}  // namespace tessera::reference
