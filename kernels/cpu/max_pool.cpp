#include "kernels/max_pool.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace tessera {

// Ties go to the first cell in reading order; a NaN wins over every number.
void max_pool_forward(CpuContext& context, const MaxPoolForwardArgs& args) {
  const MaxPoolShape& s = args.shape;
  parallel_for(context, s.images * s.out_height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / s.out_height, top = (row % s.out_height) * s.stride - s.padding;
      for (int64_t ox = 0; ox < s.out_width; ++ox) {
        const int64_t left = ox * s.stride - s.padding;
        float* y = args.y + (row * s.out_width + ox) * s.channels;
        uint8_t* winner = args.winner == nullptr ? nullptr : args.winner + (y - args.y);
        std::fill_n(y, s.channels, -std::numeric_limits<float>::infinity());
        bool first = true;
        for (int64_t v = std::max<int64_t>(0, -top); v < std::min(s.window, s.height - top); ++v) {
          for (int64_t u = std::max<int64_t>(0, -left); u < std::min(s.window, s.width - left); ++u) {
            const float* x = args.x + ((image * s.height + top + v) * s.width + left + u) * s.channels;
            const auto place = static_cast<uint8_t>(v * s.window + u);
            if (winner == nullptr) {
#pragma omp simd
              for (int64_t c = 0; c < s.channels; ++c) y[c] = x[c] > y[c] || x[c] != x[c] ? x[c] : y[c];
            } else if (first) {
              std::copy_n(x, s.channels, y);
              std::fill_n(winner, s.channels, place);
            } else {
#pragma omp simd
              for (int64_t c = 0; c < s.channels; ++c) {
                const bool larger = x[c] > y[c] || x[c] != x[c];
                y[c] = larger ? x[c] : y[c];
                winner[c] = larger ? place : winner[c];
              }
            }
            first = false;
          }
        }
      }
    }
  });
}

// A gather over the windows that contain an input cell, in a fixed order.
void max_pool_backward(CpuContext& context, const MaxPoolBackwardArgs& args) {
  const MaxPoolShape& s = args.shape;
  parallel_for(context, s.images * s.height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / s.height, y = row % s.height + s.padding;
      const int64_t first_oy = std::max<int64_t>(0, (y - s.window + s.stride) / s.stride);
      for (int64_t column = 0; column < s.width; ++column) {
        const int64_t x = column + s.padding;
        const int64_t first_ox = std::max<int64_t>(0, (x - s.window + s.stride) / s.stride);
        float* dx = args.dx + (row * s.width + column) * s.channels;
        std::fill_n(dx, s.channels, 0.0f);
        for (int64_t oy = first_oy; oy < s.out_height && oy * s.stride <= y; ++oy) {
          for (int64_t ox = first_ox; ox < s.out_width && ox * s.stride <= x; ++ox) {
            const int64_t at = ((image * s.out_height + oy) * s.out_width + ox) * s.channels;
            const auto place = static_cast<uint8_t>((y - oy * s.stride) * s.window + x - ox * s.stride);
            const uint8_t* winner = args.winner + at;
            const float* dy = args.dy + at;
#pragma omp simd
            for (int64_t c = 0; c < s.channels; ++c) dx[c] += winner[c] == place ? dy[c] : 0.0f;
          }
        }
      }
    }
  });
}

}  // namespace tessera
