// Forward pass of attention (kernels/multi_head_attention.h), as Dao, "FlashAttention-2", 2023, section 3.
// Block: 64 queries of a head, which stay in shared memory. Warp: 16 of them; scores, softmax and sums in registers.
// Step: a tile of keys and values, copied while the tile before is computed on. Of the keys seen so far a row has the
//   largest score m, a lane the sum of its own exp(s - m) and the sums of exp(s - m) v; a larger m' multiplies all by
//   exp(m - m'). Lanes of a row meet for the largest score of every tile, and once at the end for the total.
// Bytes: q and y once, k and v once per 64 queries (from the second-level cache). FLOPs: 4 L T e a head, 2 L T
// exponentials.
#pragma once

#include "kernels/cuda/attention_tiles.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <ConvMath math, int width>
__global__ void __launch_bounds__(kAttentionThreads) attend_tiles(const AttentionTiles args) {
  using Shape = TileShape<math, width>;
  using Element = typename Shape::Element;
  using TileScores = Scores<math, Shape::kForwardRows>;
  constexpr int kKeys = Shape::kForwardRows, kTileBytes = kKeys * Shape::kRowBytes, kRows = TileScores::kRows;
  const OwnRows own(args, args.queries);
  const HeadRows<Element> queries(args.query, args, own.sequence, own.head, args.queries);
  const HeadRows<Element> keys(args.key, args, own.sequence, own.head, args.keys);
  const HeadRows<Element> values(args.value, args, own.sequence, own.head, args.keys);

  char* own_tile = dynamic_shared<char>();
  char* stages = own_tile + Shape::kOwnBytes;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  char* memory = stages + kAttentionStages * 2 * kTileBytes + warp * Shape::weight_bytes(kKeys);
  const char* own_rows = own_tile + warp * kWarpRows * Shape::kRowBytes;

  RowSums<math, width> sums;
  float largest[kRows], total[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    largest[i] = -__uint_as_float(0x7f800000u);
    total[i] = 0.0f;
  }
  const float factor = args.scale * kLog2E;
  int fetched = 0, begin = 0;
  queries.template copy<kAttentionRows, Shape::kChunks>(own.first, own_tile);  // in the first group of the ring
  copy_pipeline<kAttentionStages>(
      ceil_div(args.keys, kKeys),
      [&](int stage) {
        keys.template copy<kKeys, Shape::kChunks>(fetched, stages + 2 * stage * kTileBytes);
        values.template copy<kKeys, Shape::kChunks>(fetched, stages + (2 * stage + 1) * kTileBytes);
        fetched += kKeys;
      },
      [&](int stage) {
        TileScores scores;
        scores.template add_products<Shape::kChunks>(own_rows, stages + 2 * stage * kTileBytes);
        const int left = args.keys - begin;
        begin += kKeys;
        if (left < kKeys) {
#pragma unroll
          for (int i = 0; i < kRows; ++i) {
#pragma unroll
            for (int j = 0; j < TileScores::kColumns; ++j) {
              if (scores.column(j) >= left) scores.at(i, j) = -__uint_as_float(0x7f800000u);
            }
          }
        }
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          float next = largest[i];
#pragma unroll
          for (int j = 0; j < TileScores::kColumns; ++j) next = scores.at(i, j) > next ? scores.at(i, j) : next;
          next = reduce_row<TileScores::kLanesOfRow>(next, MaximumOf{});
          const float shrink = exp2f(factor * (largest[i] - next));
          largest[i] = next;
          total[i] *= shrink;
#pragma unroll
          for (int j = 0; j < TileScores::kColumns; ++j) {
            const float p = exp2f(factor * (scores.at(i, j) - next));
            total[i] += p;
            scores.at(i, j) = p;
          }
#pragma unroll
          for (int j = 0; j < RowSums<math, width>::kColumns; ++j) sums.at(i, j) *= shrink;
        }
        sums.template add_weighted<kKeys>(scores, stages + (2 * stage + 1) * kTileBytes, memory);
      });

#pragma unroll
  for (int i = 0; i < kRows; ++i) total[i] = reduce_row<TileScores::kLanesOfRow>(total[i], SumOf{});
  const int first = own.first + warp * kWarpRows, count = args.queries - first;
  const int64_t row = int64_t{own.sequence} * args.queries + first;
  sums.store(args.y + (row * args.heads + own.head) * args.width, int64_t{args.heads} * args.width, count, args.width,
             args.vectors, [&](int i) { return 1.0f / total[i]; });
  if (args.new_log_sum == nullptr || threadIdx.x % TileScores::kLanesOfRow != 0) return;
  float* log_sum = args.new_log_sum + (int64_t{own.sequence} * args.heads + own.head) * args.queries + first;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    if (TileScores::row(i) < count) log_sum[TileScores::row(i)] = args.scale * largest[i] + logf(total[i]);
  }
}

template <ConvMath math, int width>
void launch_attend_width(DeviceContext& context, const AttentionTiles& args) {
  launch(attend_tiles<math, width>, attention_blocks(args, args.queries), kAttentionThreads,
         TileShape<math, width>::kForwardBytes, context, args);
}

template <ConvMath math>
void launch_attend_of(DeviceContext& context, const AttentionTiles& args) {
  if (args.width <= 16) return launch_attend_width<math, 16>(context, args);
  if (args.width <= 32) return launch_attend_width<math, 32>(context, args);
  if (args.width <= 64) return launch_attend_width<math, 64>(context, args);
  launch_attend_width<math, kWidestHead>(context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
