// Double-precision oracle of group normalisation over ranges of rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace tessera::reference {

// x [R, C]; segments: (first row, rows).
inline std::vector<double> group_norm(const std::vector<double>& x, const std::vector<double>& weight,
                                      const std::vector<double>& bias,
                                      const std::vector<std::pair<int64_t, int64_t>>& segments, int64_t groups,
                                      double epsilon, bool relu) {
  const int64_t channels = static_cast<int64_t>(weight.size());
  const int64_t size = channels / groups;
  std::vector<double> y(x.size());
  for (const auto& [first, rows] : segments) {
    for (int64_t group = 0; group < groups; ++group) {
      const auto visit = [&](auto&& use) {
        for (int64_t row = first; row < first + rows; ++row) {
          for (int64_t c = group * size; c < (group + 1) * size; ++c) use(static_cast<size_t>(row * channels + c), c);
        }
      };
      double mean = 0, variance = 0;
      const double count = static_cast<double>(rows * size);
      visit([&](size_t i, int64_t) { mean += x[i] / count; });
      visit([&](size_t i, int64_t) { variance += (x[i] - mean) * (x[i] - mean) / count; });
      visit([&](size_t i, int64_t c) {
        const size_t channel = static_cast<size_t>(c);
        const double value = (x[i] - mean) / std::sqrt(variance + epsilon) * weight[channel] + bias[channel];
        y[i] = relu ? std::max(value, 0.0) : value;
      });
    }
  }
  return y;
}

}  // namespace tessera::reference
