// Double-precision oracle of row and column embeddings added to a map.
#pragma once

#include <cstddef>
#include <vector>

namespace tessera::reference {

// x [N, H, W, C], row [H, C], column [W, C].
inline std::vector<double> position_add(std::vector<double> x, const std::vector<double>& row,
                                        const std::vector<double>& column, size_t channels) {
  const size_t height = row.size() / channels, width = column.size() / channels;
  for (size_t at = 0; at < x.size(); ++at) {
    const size_t cell = at / channels, c = at % channels;
    x[at] += row[cell / width % height * channels + c] + column[cell % width * channels + c];
  }
  return x;
}

}  // namespace tessera::reference
