// Double-precision oracle of one scale per level of a pyramid, and an activation.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace tessera::reference {

enum class LevelActivation { none, relu, exp };

// x [R, C]; elements [ends[l - 1], ends[l]) are those of level l.
inline std::vector<double> scale_levels(std::vector<double> x, const std::vector<double>& scales,
                                        const std::vector<size_t>& ends, LevelActivation activation) {
  for (size_t i = 0, level = 0; i < x.size(); ++i) {
    while (i >= ends[level]) ++level;
    x[i] *= scales[level];
    if (activation == LevelActivation::relu) x[i] = std::max(x[i], 0.0);
    if (activation == LevelActivation::exp) x[i] = std::exp(x[i]);
  }
  return x;
}

}  // namespace tessera::reference
