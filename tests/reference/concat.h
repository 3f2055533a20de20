// Oracle of the concatenation of channels.
#pragma once

#include <cstddef>
#include <vector>

namespace tessera::reference {

// maps[i] [rows, widths[i]]
inline std::vector<double> concat_channels(const std::vector<std::vector<double>>& maps,
                                           const std::vector<size_t>& widths) {
  std::vector<double> y;
  const size_t rows = maps[0].size() / widths[0];
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < maps.size(); ++i) {
      for (size_t c = 0; c < widths[i]; ++c) y.push_back(maps[i][row * widths[i] + c]);
    }
  }
  return y;
}

}  // namespace tessera::reference
