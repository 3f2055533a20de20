// Double-precision oracle of layer normalisation.
#pragma once

#include <cmath>
#include <vector>

namespace tessera::reference {

inline std::vector<double> layer_norm(const std::vector<double>& x, const std::vector<double>& weight,
                                      const std::vector<double>& bias, double epsilon) {
  const size_t channels = weight.size();
  std::vector<double> y(x.size());
  for (size_t row = 0; row < x.size(); row += channels) {
    double mean = 0, variance = 0;
    for (size_t c = 0; c < channels; ++c) mean += x[row + c] / static_cast<double>(channels);
    for (size_t c = 0; c < channels; ++c) {
      variance += (x[row + c] - mean) * (x[row + c] - mean) / static_cast<double>(channels);
    }
    for (size_t c = 0; c < channels; ++c) {
      y[row + c] = (x[row + c] - mean) / std::sqrt(variance + epsilon) * weight[c] + bias[c];
    }
  }
  return y;
}

}  // namespace tessera::reference
