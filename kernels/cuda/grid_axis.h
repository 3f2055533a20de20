// The grid of a box along one axis: the device's kernels/cpu/grid_axis.h. A centre (p + 0.5) * stride belongs to the
// box [low, high), and there to the cell min(k - 1, floor(k (centre - low) / (high - low))). Computed in double.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct GridAxis {
  double low, high, stride;
  int64_t extent;  // positions of the map or picture
  int k;

  __device__ double centre(int64_t position) const { return (static_cast<double>(position) + 0.5) * stride; }

  // The first position in [from, to) where a monotone condition holds, else `to`; looked for around a guess.
  template <typename Condition>
  __device__ int32_t first_where(double guess, int64_t from, int64_t to, Condition&& condition) const {
    int64_t position = from;  // of a NaN too, from infinite corners
    if (guess > static_cast<double>(from)) {
      position = guess < static_cast<double>(to) ? static_cast<int64_t>(guess) : to;
    }
    while (position > from && condition(position - 1)) --position;
    while (position < to && !condition(position)) ++position;
    return static_cast<int32_t>(position);
  }

  // Cell i holds the positions [begin(i), begin(i + 1)), i = 0 ... k - 1; all are empty in a box without width, or with
  // NaN.
  __device__ int32_t begin(int cell) const {
    if (!(high > low)) return 0;
    const int32_t first =
        first_where(low / stride - 0.5, 0, extent, [&](int64_t position) { return centre(position) >= low; });
    if (cell == 0) return first;
    const int32_t last =
        first_where(high / stride - 0.5, first, extent, [&](int64_t position) { return centre(position) >= high; });
    if (cell == k) return last;
    const double side = high - low;
    return first_where((low + side * cell / k) / stride - 0.5, first, last,
                       [&](int64_t position) { return k * (centre(position) - low) / side >= cell; });
  }
};

}  // namespace TESSERA_PORT
}  // namespace tessera
