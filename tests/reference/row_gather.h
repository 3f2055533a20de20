// Oracle of the selection of rows.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::reference {

inline std::vector<double> row_gather(const std::vector<double>& x, const std::vector<int32_t>& index,
                                      size_t channels) {
  std::vector<double> y;
  for (const int32_t row : index) {
    for (size_t c = 0; c < channels; ++c) y.push_back(x[static_cast<size_t>(row) * channels + c]);
  }
  return y;
}

}  // namespace tessera::reference
