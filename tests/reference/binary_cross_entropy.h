// Double-precision oracle of binary cross entropy with logits.
#pragma once

#include <cmath>
#include <vector>

namespace tessera::reference {

// -t ln p - (1 - t) ln(1 - p), p = sigmoid(z).
inline double binary_cross_entropy(double z, double t) {
  const double log_p = z > 0 ? -std::log1p(std::exp(-z)) : z - std::log1p(std::exp(z));
  return -t * log_p - (1 - t) * (log_p - z);
}

}  // namespace tessera::reference
