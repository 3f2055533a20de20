// Double-precision oracle of a product with a number.
#pragma once

#include <vector>

namespace tessera::reference {

inline std::vector<double> scale(std::vector<double> x, double factor) {
  for (double& value : x) value *= factor;
  return x;
}

}  // namespace tessera::reference
