// Backward pass of attention (kernels/multi_head_attention.h), as Dao, "FlashAttention-2", 2023, section 3.1.2, but in
// two kernels, so that no partial sums of another block are added and every run has the same bits. In both a warp owns
// 16 rows and walks the other side; scores and dP are computed in each (7 products instead of 5), and P comes from the
// log-sum-exp of the forward pass, without a search for the largest score.
//   query_gradient_tiles   64 queries with their dy; tiles of keys and values:    dq = dS k
//   key_gradient_tiles     64 keys with their values; tiles of queries, dy and their statistics. Scores are turned,
//   keys
//                          x queries, so P^T and dS^T lie where the products with dy and q want them:  dv, dk
// Bytes: of its own rows once, of the other side once per 64 rows. FLOPs: 6 and 8 L T e a head, L T exponentials each.
#pragma once

#include "kernels/cuda/attention_tiles.h"

namespace tessera {
inline namespace TESSERA_PORT {

// The two tiles of a block's own rows, its stages of two tiles, the statistics in stages, and the warp's memory.
template <typename Shape>
struct GradientMemory {
  static constexpr int kTileBytes = Shape::kGradientRows * Shape::kRowBytes;

  char* begin;
  int warp;

  __device__ __forceinline__ GradientMemory()
      : begin(dynamic_shared<char>()), warp(static_cast<int>(threadIdx.x) / 32) {}
  __device__ __forceinline__ char* own(int which) const { return begin + which * Shape::kOwnBytes; }
  __device__ __forceinline__ const char* own_rows(int which) const {
    return own(which) + warp * kWarpRows * Shape::kRowBytes;
  }
  __device__ __forceinline__ char* tile(int stage, int which) const {
    return begin + 2 * Shape::kOwnBytes + (2 * stage + which) * kTileBytes;
  }
  __device__ __forceinline__ float* statistics(int stage, int which) const {
    return reinterpret_cast<float*>(tile(kAttentionStages, 0)) + (2 * stage + which) * Shape::kGradientRows;
  }
  __device__ __forceinline__ char* weights() const {
    return tile(kAttentionStages, 0) + Shape::kStatisticsBytes + warp * Shape::weight_bytes(Shape::kGradientRows);
  }
};

// Left to itself ptxas aims at more blocks than shared memory has room for, and spills.
template <ConvMath math, int width>
__global__ void __launch_bounds__(kAttentionThreads, TileShape<math, width>::kGradientBlocks)
    query_gradient_tiles(const AttentionTiles args) {
  using Shape = TileShape<math, width>;
  using Element = typename Shape::Element;
  using TileScores = Scores<math, Shape::kGradientRows>;
  constexpr int kKeys = Shape::kGradientRows, kRows = TileScores::kRows;
  const OwnRows own(args, args.queries);
  const HeadRows<Element> queries(args.query, args, own.sequence, own.head, args.queries);
  const HeadRows<Element> gradients(args.dy, args, own.sequence, own.head, args.queries);
  const HeadRows<Element> keys(args.key, args, own.sequence, own.head, args.keys);
  const HeadRows<Element> values(args.value, args, own.sequence, own.head, args.keys);
  const GradientMemory<Shape> memory;

  const int first = own.first + memory.warp * kWarpRows, count = args.queries - first;
  const int64_t statistics = (int64_t{own.sequence} * args.heads + own.head) * args.queries + first;
  float log_sum[kRows], product[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const int row = TileScores::row(i);
    log_sum[i] = row < count ? args.log_sum[statistics + row] * kLog2E : 0.0f;
    product[i] = row < count ? args.row_products[statistics + row] : 0.0f;
  }
  RowSums<math, width> sums;
  const float factor = args.scale * kLog2E;
  int fetched = 0, begin = 0;
  queries.template copy<kAttentionRows, Shape::kChunks>(own.first, memory.own(0));
  gradients.template copy<kAttentionRows, Shape::kChunks>(own.first, memory.own(1));
  copy_pipeline<kAttentionStages>(
      ceil_div(args.keys, kKeys),
      [&](int stage) {
        keys.template copy<kKeys, Shape::kChunks>(fetched, memory.tile(stage, 0));
        values.template copy<kKeys, Shape::kChunks>(fetched, memory.tile(stage, 1));
        fetched += kKeys;
      },
      [&](int stage) {
        TileScores scores, dp;
        scores.template add_products<Shape::kChunks>(memory.own_rows(0), memory.tile(stage, 0));
        dp.template add_products<Shape::kChunks>(memory.own_rows(1), memory.tile(stage, 1));
        const int left = args.keys - begin;
        begin += kKeys;
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
#pragma unroll
          for (int j = 0; j < TileScores::kColumns; ++j) {
            const float p = exp2f(factor * scores.at(i, j) - log_sum[i]);
            // A key that does not exist may have p = infinity.
            scores.at(i, j) = scores.column(j) < left ? p * (dp.at(i, j) - product[i]) : 0.0f;
          }
        }
        sums.template add_weighted<kKeys>(scores, memory.tile(stage, 0), memory.weights());
      });
  const int64_t row = int64_t{own.sequence} * args.queries + first;
  sums.store(args.dquery + (row * args.heads + own.head) * args.width, int64_t{args.heads} * args.width, count,
             args.width, args.vectors, [&](int) { return args.scale; });
}

template <ConvMath math, int width>
__global__ void __launch_bounds__(kAttentionThreads, TileShape<math, width>::kGradientBlocks)
    key_gradient_tiles(const AttentionTiles args) {
  using Shape = TileShape<math, width>;
  using Element = typename Shape::Element;
  using TileScores = Scores<math, Shape::kGradientRows>;
  constexpr int kQueries = Shape::kGradientRows;
  static_assert(2 * kQueries <= kAttentionThreads);
  const OwnRows own(args, args.keys);
  const HeadRows<Element> queries(args.query, args, own.sequence, own.head, args.queries);
  const HeadRows<Element> gradients(args.dy, args, own.sequence, own.head, args.queries);
  const HeadRows<Element> keys(args.key, args, own.sequence, own.head, args.keys);
  const HeadRows<Element> values(args.value, args, own.sequence, own.head, args.keys);
  const GradientMemory<Shape> memory;

  const int64_t statistics = (int64_t{own.sequence} * args.heads + own.head) * args.queries;
  RowSums<math, width> dkey, dvalue;
  const float factor = args.scale * kLog2E;
  int fetched = 0;
  keys.template copy<kAttentionRows, Shape::kChunks>(own.first, memory.own(0));
  values.template copy<kAttentionRows, Shape::kChunks>(own.first, memory.own(1));
  copy_pipeline<kAttentionStages>(
      ceil_div(args.queries, kQueries),
      [&](int stage) {
        queries.template copy<kQueries, Shape::kChunks>(fetched, memory.tile(stage, 0));
        gradients.template copy<kQueries, Shape::kChunks>(fetched, memory.tile(stage, 1));
        const int which = static_cast<int>(threadIdx.x) / kQueries, query = static_cast<int>(threadIdx.x) % kQueries;
        if (which < 2) {
          const float* from = (which == 0 ? args.log_sum : args.row_products) + statistics;
          // A query that does not exist is all zeros: P = 1 times dy = 0, dS = 0.
          const bool valid = fetched + query < args.queries;
          copy_async<4>(memory.statistics(stage, which) + query, valid ? from + fetched + query : from, valid);
        }
        fetched += kQueries;
      },
      [&](int stage) {
        TileScores p, ds;
        p.template add_products<Shape::kChunks>(memory.own_rows(0), memory.tile(stage, 0));
#pragma unroll
        for (int j = 0; j < TileScores::kColumns; ++j) {
          const float log_sum = memory.statistics(stage, 0)[p.column(j)] * kLog2E;
#pragma unroll
          for (int i = 0; i < TileScores::kRows; ++i) {
            p.at(i, j) = exp2f(factor * p.at(i, j) - log_sum);
          }
        }
        dvalue.template add_weighted<kQueries>(p, memory.tile(stage, 1), memory.weights());
        ds.template add_products<Shape::kChunks>(memory.own_rows(1), memory.tile(stage, 1));
#pragma unroll
        for (int j = 0; j < TileScores::kColumns; ++j) {
          const float product = memory.statistics(stage, 1)[p.column(j)];
#pragma unroll
          for (int i = 0; i < TileScores::kRows; ++i) ds.at(i, j) = p.at(i, j) * (ds.at(i, j) - product);
        }
        dkey.template add_weighted<kQueries>(ds, memory.tile(stage, 0), memory.weights());
      });
  const int first = own.first + memory.warp * kWarpRows, count = args.keys - first;
  const int64_t row = int64_t{own.sequence} * args.keys + first, stride = int64_t{args.heads} * args.width;
  const int64_t to = (row * args.heads + own.head) * args.width;
  if (args.dkey != nullptr) {
    dkey.store(args.dkey + to, stride, count, args.width, args.vectors, [&](int) { return args.scale; });
  }
  if (args.dvalue != nullptr) {
    dvalue.store(args.dvalue + to, stride, count, args.width, args.vectors, [](int) { return 1.0f; });
  }
}

template <ConvMath math, int width>
void launch_gradients_width(DeviceContext& context, const AttentionTiles& args) {
  constexpr size_t kBytes = TileShape<math, width>::kGradientBytes;
  if (args.dquery != nullptr) {
    launch(query_gradient_tiles<math, width>, attention_blocks(args, args.queries), kAttentionThreads, kBytes, context,
           args);
  }
  if (args.dkey == nullptr && args.dvalue == nullptr) return;
  launch(key_gradient_tiles<math, width>, attention_blocks(args, args.keys), kAttentionThreads, kBytes, context, args);
}

template <ConvMath math>
void launch_gradients_of(DeviceContext& context, const AttentionTiles& args) {
  if (args.width <= 16) return launch_gradients_width<math, 16>(context, args);
  if (args.width <= 32) return launch_gradients_width<math, 32>(context, args);
  if (args.width <= 64) return launch_gradients_width<math, 64>(context, args);
  launch_gradients_width<math, kWidestHead>(context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
