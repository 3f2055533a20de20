// Double-precision oracle of batch norm with given statistics.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

// x [.., C], all others [C].
inline std::vector<double> frozen_batch_norm(std::vector<double> x, const std::vector<double>& weight,
                                             const std::vector<double>& bias, const std::vector<double>& mean,
                                             const std::vector<double>& variance, double epsilon) {
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % weight.size();
    x[i] = (x[i] - mean[c]) / std::sqrt(variance[c] + epsilon) * weight[c] + bias[c];
  }
  return x;
}

}  // namespace tessera::reference
