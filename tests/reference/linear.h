// Double-precision oracle of y = x w^T + b on rows.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::reference {

inline std::vector<double> linear(const std::vector<double>& x, const std::vector<double>& weight,
                                  const std::vector<double>& bias, size_t in) {
  const size_t out = bias.size(), rows = in == 0 ? 0 : x.size() / in;
  std::vector<double> y;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t o = 0; o < out; ++o) {
      double sum = bias[o];
      for (size_t i = 0; i < in; ++i) sum += x[row * in + i] * weight[o * in + i];
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace tessera::reference
