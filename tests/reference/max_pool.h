// Double-precision oracle of max pooling on NHWC maps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace tessera::reference {

struct PoolingCase {
  int64_t images, height, width, channels, window, stride, padding;

  int64_t out_height() const { return extent(height); }
  int64_t out_width() const { return extent(width); }

 private:
  int64_t extent(int64_t size) const {
    return size + 2 * padding < window ? 0 : (size + 2 * padding - window) / stride + 1;
  }
};

inline std::vector<double> max_pool(const PoolingCase& at, const std::vector<double>& x) {
  std::vector<double> y;
  for (int64_t n = 0; n < at.images; ++n) {
    for (int64_t oy = 0; oy < at.out_height(); ++oy) {
      for (int64_t ox = 0; ox < at.out_width(); ++ox) {
        for (int64_t c = 0; c < at.channels; ++c) {
          double largest = -std::numeric_limits<double>::infinity();
          for (int64_t iy = oy * at.stride - at.padding; iy < oy * at.stride - at.padding + at.window; ++iy) {
            for (int64_t ix = ox * at.stride - at.padding; ix < ox * at.stride - at.padding + at.window; ++ix) {
              if (iy < 0 || iy >= at.height || ix < 0 || ix >= at.width) continue;
              largest =
                  std::max(largest, x[static_cast<size_t>(((n * at.height + iy) * at.width + ix) * at.channels + c)]);
            }
          }
          y.push_back(largest);
        }
      }
    }
  }
  return y;
}

}  // namespace tessera::reference
