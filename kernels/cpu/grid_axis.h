// The grid of a box along one axis, over positions p = 0, 1, ... with centres (p + 0.5) * stride: a centre belongs to
// the box [low, high), and there to the cell min(k - 1, floor(k (centre - low) / (high - low))). Computed in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera {

// Cell i holds the positions [begin[i], begin[i + 1]); k + 1 entries. Cells may be empty, and so may the box.
struct GridAxis {
  std::vector<int32_t> begin;

  int32_t first() const { return begin.front(); }
  int32_t last() const { return begin.back(); }
  int32_t size() const { return last() - first(); }
  int occupied() const {
    int count = 0;
    for (size_t i = 0; i + 1 < begin.size(); ++i) count += begin[i + 1] > begin[i];
    return count;
  }

  // extent: number of positions of the map or picture. A box without width, or with NaN, is empty.
  void assign(double low, double high, double stride, int64_t extent, int k) {
    begin.assign(static_cast<size_t>(k) + 1, 0);
    if (!(high > low)) return;
    const auto centre = [stride](int64_t position) { return (static_cast<double>(position) + 0.5) * stride; };
    // The first position in [from, to) where a monotone condition holds, looked for around a guess.
    const auto first_where = [&](double guess, int64_t from, int64_t to, auto&& condition) {
      // A NaN, from infinite corners, starts at the beginning.
      auto position =
          guess > static_cast<double>(from) ? static_cast<int64_t>(std::min(guess, static_cast<double>(to))) : from;
      while (position > from && condition(position - 1)) --position;
      while (position < to && !condition(position)) ++position;
      return static_cast<int32_t>(position);
    };
    begin.front() = first_where(low / stride - 0.5, 0, extent, [&](int64_t p) { return centre(p) >= low; });
    begin.back() =
        first_where(high / stride - 0.5, begin.front(), extent, [&](int64_t p) { return centre(p) >= high; });
    const double side = high - low;
    for (int cell = 1; cell < k; ++cell) {
      begin[static_cast<size_t>(cell)] =
          first_where((low + side * cell / k) / stride - 0.5, begin[static_cast<size_t>(cell) - 1], begin.back(),
                      [&](int64_t p) { return k * (centre(p) - low) / side >= cell; });
    }
  }
};

}  // namespace tessera
