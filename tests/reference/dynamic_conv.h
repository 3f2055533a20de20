// Double-precision oracle of 1x1 convolutions with a kernel of their own for every instance.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::reference {

// features [N, P, C], kernels [K, C]; instances first[n] to first[n + 1] are those of image n. Result [K, P].
inline std::vector<double> dynamic_conv(const std::vector<double>& features, const std::vector<double>& kernels,
                                        const std::vector<int64_t>& first, int64_t pixels, int64_t channels) {
  std::vector<double> z;
  for (size_t n = 0; n + 1 < first.size(); ++n) {
    for (int64_t k = first[n]; k < first[n + 1]; ++k) {
      for (int64_t p = 0; p < pixels; ++p) {
        double sum = 0;
        for (int64_t c = 0; c < channels; ++c) {
          sum += features[static_cast<size_t>((static_cast<int64_t>(n) * pixels + p) * channels + c)] *
                 kernels[static_cast<size_t>(k * channels + c)];
        }
        z.push_back(sum);
      }
    }
  }
  return z;
}

}  // namespace tessera::reference
