// Oracle of binary masks from logits: their pixels, area and mean probability inside.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::reference {

struct BinaryMask {
  std::vector<bool> pixels;
  int32_t area = 0;
  double maskness = 0;
};

// Set where sigmoid(logit) > threshold; a half: where the logit is positive.
inline BinaryMask mask_binarize(std::span<const float> logits, double threshold) {
  BinaryMask mask;
  double sum = 0;
  for (const float logit : logits) {
    const double p = 1 / (1 + std::exp(-static_cast<double>(logit)));
    mask.pixels.push_back(p > threshold);
    if (p <= threshold) continue;
    ++mask.area;
    sum += p;
  }
  if (mask.area > 0) mask.maskness = sum / mask.area;
  return mask;
}

}  // namespace tessera::reference
