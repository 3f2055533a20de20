// Double-precision oracles of the pool and the gate of spatial attention; maps are [N, P, C].
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace tessera::reference {

// [N, P, 2]: maximum, mean.
inline std::vector<double> spatial_pool(const std::vector<double>& x, int64_t channels) {
  std::vector<double> y;
  for (auto row = x.begin(); row != x.end(); row += channels) {
    y.push_back(*std::max_element(row, row + channels));
    y.push_back(std::accumulate(row, row + channels, 0.0) / static_cast<double>(channels));
  }
  return y;
}

// logits [N, P].
inline std::vector<double> spatial_gate(const std::vector<double>& x, const std::vector<double>& logits,
                                        int64_t channels) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i) y.push_back(x[i] / (1 + std::exp(-logits[i / static_cast<size_t>(channels)])));
  return y;
}

}  // namespace tessera::reference
