// Double-precision oracle of the binary cross entropy of masks against targets of one bit a pixel.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

// logits and targets [M, P].
inline double mask_binary_cross_entropy(const std::vector<double>& logits, const std::vector<bool>& targets,
                                        size_t pixels, double normalizer) {
  double loss = 0;
  for (size_t at = 0; at < logits.size(); ++at) {
    const double p = 1 / (1 + std::exp(-logits[at]));
    loss -= targets[at] ? std::log(p) : std::log(1 - p);
  }
  return loss / static_cast<double>(pixels) / normalizer;
}

}  // namespace tessera::reference
