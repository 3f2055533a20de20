// Double-precision oracles of the pool and the gate of channel attention; maps are [N, P, C].
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace tessera::reference {

struct MapSize {
  int64_t images, pixels, channels;
};

// [2, N, C]: means, maxima.
inline std::vector<double> channel_pool(const std::vector<double>& x, const MapSize& size) {
  std::vector<double> means, maxima;
  for (int64_t n = 0; n < size.images; ++n) {
    for (int64_t c = 0; c < size.channels; ++c) {
      std::vector<double> values;
      for (int64_t p = 0; p < size.pixels; ++p) {
        values.push_back(x[static_cast<size_t>((n * size.pixels + p) * size.channels + c)]);
      }
      means.push_back(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(size.pixels));
      maxima.push_back(*std::max_element(values.begin(), values.end()));
    }
  }
  means.insert(means.end(), maxima.begin(), maxima.end());
  return means;
}

// logits [S, N, C].
inline std::vector<double> channel_gate(const std::vector<double>& x, const std::vector<double>& logits,
                                        const MapSize& size) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto channels = static_cast<size_t>(size.channels);
    const size_t image = i / channels / static_cast<size_t>(size.pixels), all = channels * size_t(size.images);
    double logit = 0;
    for (size_t at = image * channels + i % channels; at < logits.size(); at += all) logit += logits[at];
    y.push_back(x[i] / (1 + std::exp(-logit)));
  }
  return y;
}

}  // namespace tessera::reference
