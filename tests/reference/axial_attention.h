// Double-precision oracle of attention along one axis of a map.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

// query [N, H, W, C], key_value [N, H, W, 2C].
inline std::vector<double> axial_attention(const std::vector<double>& query, const std::vector<double>& key_value,
                                           int64_t images, int64_t height, int64_t width, int64_t channels,
                                           int64_t heads, bool along_columns) {
  const int64_t size = channels / heads;
  std::vector<double> y(query.size());
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        const int64_t cell = (n * height + i) * width + j;
        const int64_t length = along_columns ? height : width;
        for (int64_t head = 0; head < heads; ++head) {
          std::vector<double> weight;
          double sum = 0;
          const auto other = [&](int64_t at) {
            return along_columns ? (n * height + at) * width + j : (n * height + i) * width + at;
          };
          for (int64_t at = 0; at < length; ++at) {
            double score = 0;
            for (int64_t c = head * size; c < (head + 1) * size; ++c) {
              score += query[static_cast<size_t>(cell * channels + c)] *
                       key_value[static_cast<size_t>(other(at) * 2 * channels + c)];
            }
            weight.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
            sum += weight.back();
          }
          for (int64_t c = head * size; c < (head + 1) * size; ++c) {
            double value = 0;
            for (int64_t at = 0; at < length; ++at) {
              value += weight[static_cast<size_t>(at)] / sum *
                       key_value[static_cast<size_t>((other(at) * 2 + 1) * channels + c)];
            }
            y[static_cast<size_t>(cell * channels + c)] = value;
          }
        }
      }
    }
  }
  return y;
}

}  // namespace tessera::reference
