// Double-precision oracle of one scale and shift per channel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tessera::reference {

// x [.., C], scale and shift [C].
inline std::vector<double> channel_affine(std::vector<double> x, const std::vector<double>& scale,
                                          const std::vector<double>& shift, bool relu) {
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = x[i] * scale[i % scale.size()] + shift[i % scale.size()];
    if (relu) x[i] = std::max(x[i], 0.0);
  }
  return x;
}

}  // namespace tessera::reference
