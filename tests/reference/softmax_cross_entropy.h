// Oracle of the cross entropy of a softmax.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

inline double softmax_cross_entropy(const std::vector<double>& logits, const std::vector<int32_t>& labels,
                                    size_t classes, double normalizer) {
  double sum = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < 0) continue;
    double divisor = 0;
    for (size_t k = 0; k < classes; ++k) divisor += std::exp(logits[row * classes + k]);
    sum -= std::log(std::exp(logits[row * classes + static_cast<size_t>(labels[row])]) / divisor);
  }
  return sum / normalizer;
}

}  // namespace tessera::reference
