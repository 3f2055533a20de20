// Oracle of run lengths: the pixels column by column, from a run of zeros on.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::reference {

// pixels [H, W].
inline std::vector<int32_t> mask_rle(const std::vector<bool>& pixels, int64_t height, int64_t width) {
  std::vector<int32_t> runs = {0};
  bool value = false;
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t y = 0; y < height; ++y) {
      if (pixels[static_cast<size_t>(y * width + x)] != value) {
        value = !value;
        runs.push_back(0);
      }
      ++runs.back();
    }
  }
  return runs;
}

}  // namespace tessera::reference
