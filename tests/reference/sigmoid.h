// Double-precision oracle of the logistic function.
#pragma once

#include <cmath>
#include <vector>

namespace tessera::reference {

inline std::vector<double> sigmoid(std::vector<double> x) {
  for (double& value : x) value = 1 / (1 + std::exp(-value));
  return x;
}

}  // namespace tessera::reference
