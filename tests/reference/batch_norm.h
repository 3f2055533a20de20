// Double-precision oracle of batch norm with the statistics of the batch.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

// x [.., C], weight and bias [C].
inline std::vector<double> batch_norm(const std::vector<double>& x, const std::vector<double>& weight,
                                      const std::vector<double>& bias, double epsilon, bool relu) {
  const size_t channels = weight.size();
  const auto rows = static_cast<double>(x.size() / channels);
  std::vector<double> y(x.size());
  for (size_t c = 0; c < channels; ++c) {
    double mean = 0, variance = 0;
    for (size_t i = c; i < x.size(); i += channels) mean += x[i] / rows;
    for (size_t i = c; i < x.size(); i += channels) variance += (x[i] - mean) * (x[i] - mean) / rows;
    for (size_t i = c; i < x.size(); i += channels) {
      y[i] = (x[i] - mean) / std::sqrt(variance + epsilon) * weight[c] + bias[c];
      if (relu) y[i] = std::max(y[i], 0.0);
    }
  }
  return y;
}

}  // namespace tessera::reference
