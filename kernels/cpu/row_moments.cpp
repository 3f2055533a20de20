#include "kernels/cpu/row_moments.h"

namespace tessera {

namespace {

constexpr int64_t kBlock = 256;  // channels whose sums live on the stack

}  // namespace

void column_moments(const float* x, int64_t rows, int64_t step, int64_t channels, float* mean, float* deviation) {
  const float inverse = 1.0f / static_cast<float>(rows);
  for (int64_t first = 0; first < channels; first += kBlock) {
    const int64_t width = std::min(kBlock, channels - first);
    float sum[kBlock] = {}, centre[kBlock], rest[kBlock] = {}, squares[kBlock] = {};
    for_row_pieces(0, rows, [&]<int count>(int64_t row) {
      const float* at = x + row * step + first;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        float total = 0;
        for (int r = 0; r < count; ++r) total += at[c + r * step];
        sum[c] += total;
      }
    });
    for (int64_t c = 0; c < width; ++c) centre[c] = sum[c] * inverse;
    for_row_pieces(0, rows, [&]<int count>(int64_t row) {
      const float* at = x + row * step + first;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        float total = 0, of_squares = 0;
        for (int r = 0; r < count; ++r) {
          const float centred = at[c + r * step] - centre[c];
          total += centred;
          of_squares += centred * centred;
        }
        rest[c] += total;
        squares[c] += of_squares;
      }
    });
    // `rest` is what rounding left of the mean.
    for (int64_t c = 0; c < width; ++c) {
      mean[first + c] = centre[c] + rest[c] * inverse;
      deviation[first + c] = std::max(0.0f, squares[c] - rest[c] * rest[c] * inverse);
    }
  }
}

}  // namespace tessera
