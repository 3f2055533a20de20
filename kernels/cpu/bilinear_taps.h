// Where the output positions of a bilinear resize read along one axis; half-pixel centres, clamped at the border.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tessera {

// (1 - weight) * in[low] + weight * in[high]
struct BilinearTap {
  int64_t low, high;
  float weight;
};

// The first `count` of `out` positions (all of them by default).
inline std::vector<BilinearTap> bilinear_taps(int64_t in, int64_t out, int64_t count = -1) {
  std::vector<BilinearTap> taps(static_cast<size_t>(count < 0 ? out : count));
  const double ratio = static_cast<double>(in) / static_cast<double>(out);
  for (size_t i = 0; i < taps.size(); ++i) {
    const double source = std::clamp((static_cast<double>(i) + 0.5) * ratio - 0.5, 0.0, static_cast<double>(in - 1));
    const int64_t low = static_cast<int64_t>(source);
    taps[i] = {low, std::min(low + 1, in - 1), static_cast<float>(source - static_cast<double>(low))};
  }
  return taps;
}

}  // namespace tessera
