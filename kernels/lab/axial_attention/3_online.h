// Version 3: the softmax on the way (Milakov and Gimelshein, 2018; Dao et al., "FlashAttention", 2022). A thread has a
// query and its sums in registers and walks the keys once, keeping the largest score so far; whenever it grows, what
// was summed is scaled down. No scores anywhere, lines of any length; heads of up to 32 channels, in registers. Keys
// and values come in tiles of 32 cells, and all lanes read the same address: one read from shared memory for a product,
// one value wide, and two exponentials for every key.
#pragma once

#include <stdexcept>

#include "kernels/lab/axial_attention/lines.h"

namespace tessera::axial_attention_lab {
inline namespace TESSERA_PORT {

inline constexpr int kQueries = 128, kKeys = 32, kWidestHead = 32;

// Block: (line and head, 128 queries).
static __global__ void __launch_bounds__(kQueries) attend_online(AxialAttentionForwardArgs args, const Line* lines) {
  SHARED(keys, float[kKeys][kWidestHead]);
  SHARED(values, float[kKeys][kWidestHead]);
  const Head head(lines, args.channels, args.heads);
  const int count = head.line.count, first = static_cast<int>(blockIdx.y) * kQueries;
  const int query = first + static_cast<int>(threadIdx.x);
  if (first >= count) return;
  float q[kWidestHead], sum[kWidestHead] = {};
#pragma unroll
  for (int c = 0; c < kWidestHead; ++c) {
    q[c] = query < count && c < head.width ? args.query[head.at(query, c)] * head.scale : 0.0f;
  }
  float largest = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (int begin = 0; begin < count; begin += kKeys) {
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kKeys * kWidestHead; i += kQueries) {
      const int cell = begin + i / kWidestHead, c = i % kWidestHead;
      const bool inside = cell < count && c < head.width;
      keys[i / kWidestHead][c] = inside ? args.key_value[head.key(cell, c)] : 0.0f;
      values[i / kWidestHead][c] = inside ? args.key_value[head.value(cell, c)] : 0.0f;
    }
    __syncthreads();
    const int cells = min(kKeys, count - begin);
    for (int j = 0; j < cells; ++j) {
      float score = 0.0f;
#pragma unroll
      for (int c = 0; c < kWidestHead; ++c) score += q[c] * keys[j][c];
      const float next = score > largest ? score : largest;
      const float shrink = expf(largest - next), p = expf(score - next);
      largest = next;
      total = total * shrink + p;
#pragma unroll
      for (int c = 0; c < kWidestHead; ++c) sum[c] = sum[c] * shrink + p * values[j][c];
    }
  }
  if (query >= count) return;
#pragma unroll
  for (int c = 0; c < kWidestHead; ++c) {
    if (c < head.width) args.y[head.at(query, c)] = sum[c] / total;
  }
}

inline void attend_by_online_softmax(DeviceContext& context, const AxialAttentionForwardArgs& args) {
  if (args.channels / args.heads > kWidestHead) throw std::length_error("online: a head of more than 32 channels");
  const LineList list(args.maps, args.along_columns, args.heads);
  const Lines lines(context, list, args.heads);
  launch(attend_online, lines.grid(ceil_div<int64_t>(list.longest, kQueries)), kQueries, 0, context, args,
         lines.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::axial_attention_lab
