// Version 1: the definition in three launches, with all scores in memory: L^2 floats per line and head, written,
// normalised in place by three walks, and read again. Two loads from memory for every product.
#pragma once

#include "kernels/lab/axial_attention/lines.h"

namespace tessera::axial_attention_lab {
inline namespace TESSERA_PORT {

inline constexpr int kScoreThreads = 128;

// Calls body(i, j) for this thread's entries of a matrix of rows x columns; the block has the whole matrix.
template <typename Body>
__device__ __forceinline__ void for_each_entry(int rows, int columns, Body&& body) {
  for (int at = static_cast<int>(threadIdx.x); at < rows * columns; at += static_cast<int>(blockDim.x)) {
    body(at / columns, at % columns);
  }
}

static __global__ void __launch_bounds__(kScoreThreads)
    store_scores(const float* query, const float* key_value, int64_t channels, int64_t heads, const Line* lines,
                 float* scores) {
  const Head head(lines, channels, heads);
  for_each_entry(head.line.count, head.line.count, [&](int i, int j) {
    float sum = 0.0f;
    for (int c = 0; c < head.width; ++c) sum += query[head.at(i, c)] * key_value[head.key(j, c)];
    scores[head.score(i, j)] = sum * head.scale;
  });
}

// Thread: a row of scores.
static __global__ void __launch_bounds__(kScoreThreads)
    normalise_scores(int64_t channels, int64_t heads, const Line* lines, float* scores) {
  const Head head(lines, channels, heads);
  const int count = head.line.count;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kScoreThreads) {
    float* const row = scores + head.score(i, 0);
    float largest = row[0], total = 0.0f;
    for (int j = 1; j < count; ++j) largest = row[j] > largest ? row[j] : largest;
    for (int j = 0; j < count; ++j) {
      row[j] = expf(row[j] - largest);
      total += row[j];
    }
    for (int j = 0; j < count; ++j) row[j] /= total;
  }
}

static __global__ void __launch_bounds__(kScoreThreads)
    weigh_values(AxialAttentionForwardArgs args, const Line* lines, const float* probabilities) {
  const Head head(lines, args.channels, args.heads);
  for_each_entry(head.line.count, head.width, [&](int i, int c) {
    float sum = 0.0f;
    for (int j = 0; j < head.line.count; ++j) {
      sum += probabilities[head.score(i, j)] * args.key_value[head.value(j, c)];
    }
    args.y[head.at(i, c)] = sum;
  });
}

inline void attend_by_stored_scores(DeviceContext& context, const AxialAttentionForwardArgs& args) {
  const LineList list(args.maps, args.along_columns, args.heads);
  const Lines lines(context, list, args.heads);
  Scratch<float> scores(context, static_cast<size_t>(list.scores));
  launch(store_scores, lines.grid(), kScoreThreads, 0, context, args.query, args.key_value, args.channels, args.heads,
         lines.data(), scores.data());
  launch(normalise_scores, lines.grid(), kScoreThreads, 0, context, args.channels, args.heads, lines.data(),
         scores.data());
  launch(weigh_values, lines.grid(), kScoreThreads, 0, context, args, lines.data(), scores.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::axial_attention_lab
