// The backward pass as its formula reads (kernels/axial_attention.h), with P and dS in memory: 2 L^2 floats per line
// and head. P is made again by the kernels of version 1, or would have to be kept since the forward pass.
#pragma once

#include "kernels/lab/axial_attention/1_stored_scores.h"

namespace tessera::axial_attention_lab {
inline namespace TESSERA_PORT {

// dP = dy v^T
static __global__ void __launch_bounds__(kScoreThreads)
    store_score_gradients(AxialAttentionBackwardArgs args, const Line* lines, float* gradients) {
  const Head head(lines, args.channels, args.heads);
  for_each_entry(head.line.count, head.line.count, [&](int i, int j) {
    float sum = 0.0f;
    for (int c = 0; c < head.width; ++c) sum += args.dy[head.at(i, c)] * args.key_value[head.value(j, c)];
    gradients[head.score(i, j)] = sum;
  });
}

// dS = P * (dP - rowsum(P * dP)) / sqrt(e), over dP. Thread: a row.
static __global__ void __launch_bounds__(kScoreThreads)
    centre_score_gradients(int64_t channels, int64_t heads, const Line* lines, const float* probabilities,
                           float* gradients) {
  const Head head(lines, channels, heads);
  for (int i = static_cast<int>(threadIdx.x); i < head.line.count; i += kScoreThreads) {
    const float* const p = probabilities + head.score(i, 0);
    float* const row = gradients + head.score(i, 0);
    float mean = 0.0f;
    for (int j = 0; j < head.line.count; ++j) mean += p[j] * row[j];
    for (int j = 0; j < head.line.count; ++j) row[j] = p[j] * (row[j] - mean) * head.scale;
  }
}

// dq = dS k, dk = dS^T q, dv = P^T dy: a thread per element of each.
static __global__ void __launch_bounds__(kScoreThreads)
    multiply_score_gradients(AxialAttentionBackwardArgs args, const Line* lines, const float* probabilities,
                             const float* gradients) {
  const Head head(lines, args.channels, args.heads);
  for_each_entry(head.line.count, head.width, [&](int i, int c) {
    float dq = 0.0f, dk = 0.0f, dv = 0.0f;
    for (int j = 0; j < head.line.count; ++j) {
      dq += gradients[head.score(i, j)] * args.key_value[head.key(j, c)];
      dk += gradients[head.score(j, i)] * args.query[head.at(j, c)];
      dv += probabilities[head.score(j, i)] * args.dy[head.at(j, c)];
    }
    args.dquery[head.at(i, c)] = dq;
    args.dkey_value[head.key(i, c)] = dk;
    args.dkey_value[head.value(i, c)] = dv;
  });
}

inline void attend_backward_by_stored_scores(DeviceContext& context, const AxialAttentionBackwardArgs& args) {
  const LineList list(args.maps, args.along_columns, args.heads);
  const Lines lines(context, list, args.heads);
  Scratch<float> scores(context, static_cast<size_t>(list.scores)),
      gradients(context, static_cast<size_t>(list.scores));
  launch(store_scores, lines.grid(), kScoreThreads, 0, context, args.query, args.key_value, args.channels, args.heads,
         lines.data(), scores.data());
  launch(normalise_scores, lines.grid(), kScoreThreads, 0, context, args.channels, args.heads, lines.data(),
         scores.data());
  launch(store_score_gradients, lines.grid(), kScoreThreads, 0, context, args, lines.data(), gradients.data());
  launch(centre_score_gradients, lines.grid(), kScoreThreads, 0, context, args.channels, args.heads, lines.data(),
         scores.data(), gradients.data());
  launch(multiply_score_gradients, lines.grid(), kScoreThreads, 0, context, args, lines.data(), scores.data(),
         gradients.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::axial_attention_lab
