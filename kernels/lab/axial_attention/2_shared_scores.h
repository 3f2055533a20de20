// Version 2: one launch, the scores of 16 queries in shared memory: 8 KiB for lines of up to 128 cells, and no longer
// ones. Queries, keys and values come in tiles of 16 cells x 16 channels, each value fetched once for 16 products. The
// softmax of a query is 16 lanes of a warp, summed in a fixed order. A product still reads two values from shared
// memory.
#pragma once

#include <stdexcept>

#include "kernels/lab/axial_attention/lines.h"

namespace tessera::axial_attention_lab {
inline namespace TESSERA_PORT {

inline constexpr int kSide = 16, kLongestLine = 128;

// Block: (line and head, 16 queries); thread (x, y): query y.
static __global__ void __launch_bounds__(kSide* kSide)
    attend_in_shared_scores(AxialAttentionForwardArgs args, const Line* lines) {
  SHARED(scores, float[kSide][kLongestLine + 1]);
  SHARED(left, float[kSide][kSide + 1]);
  SHARED(right, float[kSide][kSide + 1]);
  const Head head(lines, args.channels, args.heads);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), count = head.line.count;
  const int query = static_cast<int>(blockIdx.y) * kSide + y;
  if (static_cast<int>(blockIdx.y) * kSide >= count) return;

  for (int begin = 0; begin < count; begin += kSide) {
    float sum = 0.0f;
    for (int c = 0; c < head.width; c += kSide) {
      const bool inside = c + x < head.width;
      left[y][x] = inside && query < count ? args.query[head.at(query, c + x)] : 0.0f;
      right[y][x] = inside && begin + y < count ? args.key_value[head.key(begin + y, c + x)] : 0.0f;
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kSide; ++i) sum += left[y][i] * right[x][i];
      __syncthreads();
    }
    if (begin + x < count) scores[y][begin + x] = sum * head.scale;
  }
  __syncthreads();

  float largest = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (int j = x; j < count; j += kSide) largest = scores[y][j] > largest ? scores[y][j] : largest;
#pragma unroll
  for (int distance = kSide / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kWholeWarp, largest, distance);
    largest = other > largest ? other : largest;
  }
  for (int j = x; j < count; j += kSide) {
    scores[y][j] = expf(scores[y][j] - largest);
    total += scores[y][j];
  }
#pragma unroll
  for (int distance = kSide / 2; distance > 0; distance /= 2) total += __shfl_xor_sync(kWholeWarp, total, distance);

  for (int c = 0; c < head.width; c += kSide) {
    float sum = 0.0f;
    for (int begin = 0; begin < count; begin += kSide) {
      __syncthreads();  // the scores are complete, nobody reads the tile before this one
      const bool inside = c + x < head.width && begin + y < count;
      right[y][x] = inside ? args.key_value[head.value(begin + y, c + x)] : 0.0f;
      __syncthreads();
      const int cells = min(kSide, count - begin);
      for (int i = 0; i < cells; ++i) sum += scores[y][begin + i] * right[i][x];
    }
    if (query < count && c + x < head.width) args.y[head.at(query, c + x)] = sum / total;
  }
}

inline void attend_by_shared_scores(DeviceContext& context, const AxialAttentionForwardArgs& args) {
  const LineList list(args.maps, args.along_columns, args.heads);
  if (list.longest > kLongestLine) throw std::length_error("shared scores: a line of more than 128 cells");
  const Lines lines(context, list, args.heads);
  launch(attend_in_shared_scores, lines.grid(ceil_div<int64_t>(list.longest, kSide)), dim3(kSide, kSide), 0, context,
         args, lines.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::axial_attention_lab
