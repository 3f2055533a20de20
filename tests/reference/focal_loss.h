// Double-precision oracle of the sigmoid focal loss, from its definition with probabilities.
#pragma once

#include <cmath>
#include <vector>

namespace tessera::reference {

inline double focal_loss(const std::vector<double>& logits, const std::vector<int32_t>& labels, size_t classes,
                         double alpha, double gamma, double normalizer) {
  double sum = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < 0) continue;
    for (size_t k = 0; k < classes; ++k) {
      const double x = logits[row * classes + k];
      const bool positive = static_cast<size_t>(labels[row]) == k;
      // ln p_t and 1 - p_t without cancellation: p_t = sigmoid(x) for the class, sigmoid(-x) otherwise.
      const double signed_logit = positive ? x : -x;
      const double log_probability =
          signed_logit > 0 ? -std::log1p(std::exp(-signed_logit)) : signed_logit - std::log1p(std::exp(signed_logit));
      const double missing = 1.0 / (1.0 + std::exp(signed_logit));
      sum += (positive ? alpha : 1 - alpha) * std::pow(missing, gamma) * -log_probability;
    }
  }
  return sum / normalizer;
}

}  // namespace tessera::reference
