// Oracles of the suppression of masks: every pair is looked at, every factor computed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace tessera::reference {

// [M, M]: intersection over union of i < j with the same label, else 0.
inline std::vector<double> mask_overlap(const std::vector<std::vector<bool>>& masks,
                                        const std::vector<int32_t>& labels) {
  std::vector<double> overlaps;
  for (size_t i = 0; i < masks.size(); ++i) {
    for (size_t j = 0; j < masks.size(); ++j) {
      double both = 0, either = 0;
      for (size_t p = 0; p < masks[i].size(); ++p) {
        both += masks[i][p] && masks[j][p];
        either += masks[i][p] || masks[j][p];
      }
      overlaps.push_back(i < j && labels[i] == labels[j] && either > 0 ? both / either : 0);
    }
  }
  return overlaps;
}

// scores times the least factor over all masks, those behind and of other labels included. sigma: of the gaussian rule.
inline std::vector<double> matrix_nms(const std::vector<float>& overlaps, const std::vector<float>& scores,
                                      bool gaussian, double sigma = 2) {
  const size_t count = scores.size();
  std::vector<double> decayed;
  for (size_t j = 0; j < count; ++j) {
    double factor = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < count; ++i) {
      double c = 0;
      for (size_t k = 0; k < i; ++k) c = std::max(c, static_cast<double>(overlaps[k * count + i]));
      const double d = overlaps[i * count + j];
      factor = std::min(factor, gaussian ? std::exp(-sigma * (d * d - c * c)) : (1 - d) / std::max(1 - c, 1e-12));
    }
    decayed.push_back(scores[j] * factor);
  }
  return decayed;
}

// 1 for a mask that no kept one before it overlaps by more than the threshold.
inline std::vector<uint8_t> greedy_nms(const std::vector<float>& overlaps, size_t count, double threshold) {
  std::vector<uint8_t> kept;
  for (size_t j = 0; j < count; ++j) {
    bool stays = true;
    for (size_t i = 0; i < j; ++i) stays = stays && !(kept[i] != 0 && overlaps[i * count + j] > threshold);
    kept.push_back(stays);
  }
  return kept;
}

}  // namespace tessera::reference
