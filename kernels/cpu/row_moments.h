// Loops over rows of channels that are in a cache, and the statistics of each channel over such rows: two passes, mean
// first.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera {

// The loops below run over channels and, unrolled inside, over kRowsOfPiece rows at once: per-channel values are loaded
// and stored once for that many rows.
inline constexpr int kRowsOfPiece = 4;

// Calls body.operator()<rows>(row) for pieces of kRowsOfPiece rows and single rows at the end.
template <typename Body>
void for_row_pieces(int64_t begin, int64_t end, Body&& body) {
  int64_t row = begin;
  for (; row + kRowsOfPiece <= end; row += kRowsOfPiece) body.template operator()<kRowsOfPiece>(row);
  for (; row < end; ++row) body.template operator()<1>(row);
}

// Mean and sum of squared deviations of each of `channels` columns over rows that lie `step` floats apart.
void column_moments(const float* x, int64_t rows, int64_t step, int64_t channels, float* mean, float* deviation);

}  // namespace tessera
