// Double-precision oracle of the leaky rectified linear unit.
#pragma once

#include <vector>

namespace tessera::reference {

inline std::vector<double> leaky_relu(const std::vector<double>& x, double slope) {
  std::vector<double> y;
  for (const double value : x) y.push_back(value > 0 ? value : slope * value);
  return y;
}

}  // namespace tessera::reference
