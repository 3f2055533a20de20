// Double-precision oracle of a sum of branches behind scalar gates.
#pragma once

#include <cstddef>
#include <vector>

namespace tessera::reference {

// in: x, then gate [1] and value of each branch.
inline std::vector<double> gated_sum(const std::vector<std::vector<double>>& in) {
  std::vector<double> y = in[0];
  for (size_t branch = 1; branch < in.size(); branch += 2) {
    for (size_t i = 0; i < y.size(); ++i) y[i] += in[branch][0] * in[branch + 1][i];
  }
  return y;
}

}  // namespace tessera::reference
