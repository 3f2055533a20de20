// Double-precision oracle of the Gaussian error linear unit.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

namespace tessera::reference {

inline std::vector<double> gelu(const std::vector<double>& x) {
  std::vector<double> y;
  for (const double value : x) y.push_back(value * 0.5 * std::erfc(-value / std::numbers::sqrt2));
  return y;
}

}  // namespace tessera::reference
