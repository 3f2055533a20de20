// Oracle of the ranking of candidates: a stable sort.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <vector>

namespace tessera::reference {

// The best of the first `valid` candidates with a score of at least `least`. Equal scores: by row, then by label where
// there are any; then in their order.
inline std::vector<int32_t> rank_scores(const std::vector<float>& scores, const std::vector<int32_t>& rows,
                                        const std::vector<int32_t>& labels, size_t valid, size_t capacity,
                                        float least) {
  std::vector<int32_t> order(valid);
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int32_t i) { return !(scores[static_cast<size_t>(i)] >= least); });
  std::stable_sort(order.begin(), order.end(), [&](int32_t x, int32_t y) {
    const auto a = static_cast<size_t>(x), b = static_cast<size_t>(y);
    if (rows.empty()) return scores[a] > scores[b];
    return std::tuple(-scores[a], rows[a], labels[a]) < std::tuple(-scores[b], rows[b], labels[b]);
  });
  order.resize(std::min(order.size(), capacity));
  return order;
}

}  // namespace tessera::reference
