// Double-precision oracle of the dice loss of masks against targets of one bit a pixel.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

// logits and targets [M, P].
inline double dice_loss(const std::vector<double>& logits, const std::vector<bool>& targets, size_t pixels,
                        bool squared, double normalizer) {
  double loss = 0;
  for (size_t first = 0; first < logits.size(); first += pixels) {
    double a = 0, b = 0.001, c = 0.001;
    for (size_t at = first; at < first + pixels; ++at) {
      const double p = 1 / (1 + std::exp(-logits[at])), q = targets[at] ? 1 : 0;
      a += p * q;
      b += squared ? p * p : p;
      c += q;
    }
    loss += 1 - 2 * a / (b + c);
  }
  return loss / normalizer;
}

}  // namespace tessera::reference
