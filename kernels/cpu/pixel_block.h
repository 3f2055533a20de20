// A block of pixels turned so that their numbers of one channel are neighbours: what products with kernels read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/small_product.h"

namespace tessera {

inline constexpr int64_t kBlockPixels = 64;

class PixelBlock {
 public:
  // features: [count, channels], count at most kBlockPixels.
  void load(const float* features, int64_t count, int64_t channels) {
    values_.resize(static_cast<size_t>(channels * kBlockPixels));
    count_ = count;
    channels_ = channels;
    for (int64_t first = 0; first < channels; first += 16) {
      const int64_t last = std::min(channels, first + 16);
      for (int64_t p = 0; p < count; ++p) {
        for (int64_t c = first; c < last; ++c) {
          values_[static_cast<size_t>(c * kBlockPixels + p)] = features[p * channels + c];
        }
      }
    }
  }

  // to[k * to_row + p] = sum of kernels[k][c] * value[p][c] for `rows` kernels.
  void multiply(const float* kernels, int64_t rows, float* to, int64_t to_row) const {
    multiply_small({{kernels, channels_, 1}, values_.data(), kBlockPixels, to, to_row, channels_}, rows, count_);
  }

 private:
  std::vector<float> values_;  // [channels][kBlockPixels]
  int64_t count_ = 0, channels_ = 0;
};

}  // namespace tessera
