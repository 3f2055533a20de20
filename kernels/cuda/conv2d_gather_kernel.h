// The implicit GEMM behind conv2d_gather.h: target[m][n] = sum over k of source row(m, tap(k))[c(k)] * weight[n][k].
// Block: tile_m target rows x tile_n channels of a group; blockIdx.x = (row tile, group, column tile), the last
//   fastest, so blocks that run together read the same rows; blockIdx.y = split of the depth.
// Warp: warp_m x warp_n of it (conv2d_product.h).
// Depth k = (tap, channel) in steps of 64 bytes through the ring of copy_pipeline.h. A thread fetches the same chunk of
//   16 bytes of several rows; its position in the window moves along without a division.
// Bytes: source once per column tile and tap (the taps hit the caches), weights once per row tile, target once.
// FLOPs: 2 * rows * target_channels * depth. Grew from kernels/lab/conv2d/6_pipeline.h.
#pragma once

#include "kernels/cuda/conv2d_gather.h"
#include "kernels/cuda/conv2d_product.h"
#include "kernels/cuda/copy_pipeline.h"

namespace tessera {
inline namespace TESSERA_PORT {

// A depth as tap and channel.
struct DepthPosition {
  int v, u, c;

  __device__ __forceinline__ DepthPosition(int depth, int channels, int taps_width) {
    const int tap = depth / channels;
    c = depth - tap * channels;
    v = tap / taps_width;
    u = tap - v * taps_width;
  }
  __device__ __forceinline__ void advance(int by, int channels, int taps_width) {
    c += by;
    while (c >= channels) {
      c -= channels;
      if (++u == taps_width) {
        u = 0;
        ++v;
      }
    }
  }
};

// The part of a tile that one thread fetches.
template <typename Element, int tile_m, int tile_n, int threads, bool chunks>
class GatherFetch {
  static constexpr int kChunk = kChunkBytes / int{sizeof(Element)}, kDepth = kTileRowBytes / int{sizeof(Element)};
  static constexpr int kPassRows = threads / kChunksPerRow;  // rows that the block fetches at a time
  static constexpr int kRowsA = ceil_div(tile_m, kPassRows), kRowsB = ceil_div(tile_n, kPassRows);
  static_assert(chunks || sizeof(Element) == 4);

 public:
  __device__ __forceinline__ GatherFetch(const GatherArgs& args, const GatherBranch& branch, const GatherMap& map,
                                         int group, int first_m, int first_n, int first_depth)
      : source_(static_cast<const Element*>(branch.source)),
        weight_(static_cast<const Element*>(branch.weight)),
        source_stride_(args.source_channels),
        source_group_(args.source_group),
        height_(map.source_height),
        width_(map.source_width),
        taps_width_(map.taps_width),
        depth_end_(map.depth),
        chunk_(static_cast<int>(threadIdx.x) % kChunksPerRow),
        row_(static_cast<int>(threadIdx.x) / kChunksPerRow),
        depth_(first_depth + kChunk * chunk_),
        at_(depth_, source_group_, taps_width_) {
    source_offset_ = map.source_row * source_stride_ + group * source_group_;
#pragma unroll
    for (int i = 0; i < kRowsA; ++i) {
      const int m = first_m + row_ + i * kPassRows;
      const int line = m / map.width, image = line / map.height;
      cell_[i] = image * height_ * width_;
      y_[i] = m < map.rows ? (line - image * map.height) * map.source_step + map.source_y : -(1 << 30);
      x_[i] = (m - line * map.width) * map.source_step + map.source_x;
    }
    columns_ = args.target_group - first_n;
    weight_offset_ = map.weight + (int64_t{group} * args.target_group + first_n + row_) * depth_end_;
  }

  // Issues the copies of the next step.
  __device__ __forceinline__ void operator()(char* stage) {
#pragma unroll
    for (int i = 0; i < kRowsA; ++i) {
      const int row = row_ + i * kPassRows;
      if (tile_m % kPassRows != 0 && row >= tile_m) break;
      if constexpr (chunks) {
        const bool valid = inside(i, at_) && depth_ < depth_end_;
        copy_async<kChunkBytes>(place(stage, row), valid ? source_ + source_place(i, at_) : source_, valid);
      } else {
        DepthPosition at = at_;
#pragma unroll
        for (int e = 0; e < kChunk; ++e) {
          const bool valid = inside(i, at) && depth_ + e < depth_end_;
          copy_async<4>(place(stage, row) + 4 * e, valid ? source_ + source_place(i, at) : source_, valid);
          at.advance(1, source_group_, taps_width_);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRowsB; ++i) {
      const int row = row_ + i * kPassRows;
      if (tile_n % kPassRows != 0 && row >= tile_n) break;
      const bool valid = row < columns_ && depth_ < depth_end_;
      const Element* from = valid ? weight_ + weight_offset_ + int64_t{i * kPassRows} * depth_end_ + depth_ : weight_;
      // B's rows follow A's.
      if constexpr (chunks) {
        copy_async<kChunkBytes>(place(stage, tile_m + row), from, valid);
      } else {
#pragma unroll
        for (int e = 0; e < kChunk; ++e) {
          const bool one = valid && depth_ + e < depth_end_;
          copy_async<4>(place(stage, tile_m + row) + 4 * e, one ? from + e : weight_, one);
        }
      }
    }
    depth_ += kDepth;
    at_.advance(kDepth, source_group_, taps_width_);
  }

 private:
  __device__ __forceinline__ bool inside(int i, const DepthPosition& at) const {
    return static_cast<unsigned>(y_[i] + at.v) < static_cast<unsigned>(height_) &&
           static_cast<unsigned>(x_[i] + at.u) < static_cast<unsigned>(width_);
  }
  __device__ __forceinline__ int64_t source_place(int i, const DepthPosition& at) const {
    const int cell = cell_[i] + (y_[i] + at.v) * width_ + x_[i] + at.u;
    return source_offset_ + int64_t{cell} * source_stride_ + at.c;
  }
  __device__ __forceinline__ char* place(char* stage, int row) const { return stage + chunk_place(row, chunk_); }

  const Element *source_, *weight_;
  int source_stride_, source_group_, height_, width_, taps_width_, depth_end_;
  int chunk_, row_, depth_;
  DepthPosition at_;
  int64_t source_offset_, weight_offset_;
  int columns_;
  int cell_[kRowsA], y_[kRowsA], x_[kRowsA];
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
struct GatherShape {
  using Element = ConvElement<math>;
  static constexpr int kDepth = kTileRowBytes / int{sizeof(Element)};
  static constexpr int kWarpsN = tile_n / warp_n, kThreads = tile_m / warp_m * kWarpsN * 32;
  static constexpr int kStageBytes = (tile_m + tile_n) * kTileRowBytes;
  // Three stages hide the latency of memory behind fused multiply-adds. Tensor cores leave a stage sooner: as many as
  // let two blocks of 48 KiB share a multiprocessor, up to four.
  static constexpr int kStages = math == ConvMath::fp32 ? 3 : std::min(4, (48 << 10) / kStageBytes);
  // Blocks that a multiprocessor shall at least hold. With twice as many of 256 threads, at 128 registers each, the
  // sums of strict fp32 spill, and the two kinds of sums of the chunked product; those of the others do not.
  static constexpr bool kFewSums = math != ConvMath::fp32 && math != ConvMath::fp16_accumulate_chunked;
  static constexpr int kBlocks = std::max(kFewSums ? 2 : 1, 256 / kThreads);
};

// y = act(scale * sum + bias + residual) of one channel.
struct ChannelEpilogue {
  float scale = 1.0f, bias = 0.0f;

  __device__ __forceinline__ ChannelEpilogue(const float* scales, const float* biases, int channel) {
    if (scales != nullptr) scale = scales[channel];
    if (biases != nullptr) bias = biases[channel];
  }
  __device__ __forceinline__ float operator()(float sum, float residual, bool relu) const {
    const float value = sum * scale + bias + residual;
    return relu && value < 0.0f ? 0.0f : value;
  }
};

struct ChannelPairEpilogue {
  ChannelEpilogue first, second;
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool chunks>
__global__ void __launch_bounds__(GatherShape<math, tile_m, tile_n, warp_m, warp_n>::kThreads,
                                  GatherShape<math, tile_m, tile_n, warp_m, warp_n>::kBlocks)
    gather_product(const GatherArgs args) {
  using Shape = GatherShape<math, tile_m, tile_n, warp_m, warp_n>;
  const int column_tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(args.column_tiles));
  const unsigned rest = blockIdx.x / static_cast<unsigned>(args.column_tiles);
  const int group = static_cast<int>(rest % static_cast<unsigned>(args.groups));
  const int row_tile = static_cast<int>(rest / static_cast<unsigned>(args.groups));
  int index = 0;
  while (index + 1 < args.map_count && row_tile >= args.maps[index + 1].first_tile) ++index;
  const GatherMap& map = args.maps[index];
  const int first_m = (row_tile - map.first_tile) * tile_m, first_n = column_tile * tile_n;

  const int all_steps = ceil_div(map.depth, Shape::kDepth), split = static_cast<int>(blockIdx.y);
  const int first_step = static_cast<int>(int64_t{all_steps} * split / args.splits);
  const int steps = static_cast<int>(int64_t{all_steps} * (split + 1) / args.splits) - first_step;

  char* stages = dynamic_shared<char>();
  const auto stage = [&](int at) { return stages + at * Shape::kStageBytes; };
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Shape::kWarpsN * warp_m, warp_column = warp % Shape::kWarpsN * warp_n;
  const int a_bytes = warp_row * kTileRowBytes, b_bytes = (tile_m + warp_column) * kTileRowBytes;

  DepthProduct<math, warp_m, warp_n> product;
  if (steps > 0) {
    GatherFetch<typename Shape::Element, tile_m, tile_n, Shape::kThreads, chunks> fetch(
        args, args.branches[map.branch], map, group, first_m, first_n, first_step * Shape::kDepth);
    copy_pipeline<Shape::kStages>(
        steps, [&](int at) { fetch(stage(at)); },
        [&](int at) { product.accumulate(stage(at) + a_bytes, stage(at) + b_bytes); });
  }

  // Where the rows of the tile lie in the target, -1 beyond the map, and behind them the branch; in the memory of the
  // stages. Were the branch known before the products, its pointers would cost them registers.
  __syncthreads();
  int64_t* places = dynamic_shared<int64_t>();
  if (threadIdx.x == 0) places[tile_m] = map.branch;
  for (int row = static_cast<int>(threadIdx.x); row < tile_m; row += Shape::kThreads) {
    const int m = first_m + row, line = m / map.width, image = line / map.height;
    const int y = (line - image * map.height) * map.target_step + map.target_y;
    const int x = (m - line * map.width) * map.target_step + map.target_x;
    const int64_t target = map.target_row + (int64_t{image} * map.target_height + y) * map.target_width + x;
    places[row] = m < map.rows ? target * args.target_channels + group * args.target_group + first_n : -1;
  }
  __syncthreads();

  const GatherBranch& branch = args.branches[places[tile_m]];
  const int columns = args.target_group - first_n, channel = group * args.target_group + first_n;
  float* target = branch.target + split * args.split_stride;
  const auto epilogue_of = [&](int n) {
    return ChannelEpilogue(n < columns ? branch.scale : nullptr, n < columns ? branch.bias : nullptr, channel + n);
  };
  const auto residual_of = [&](int64_t place) { return branch.residual != nullptr ? branch.residual[place] : 0.0f; };
  if constexpr (DepthProduct<math, warp_m, warp_n>::kPairs) {
    product.visit(
        [&](int n) {
          return ChannelPairEpilogue{epilogue_of(warp_column + n), epilogue_of(warp_column + n + 1)};
        },
        [&](int m, int n, const ChannelPairEpilogue& epilogue, float& first, float& second) {
          const int64_t place = places[warp_row + m] + warp_column + n;
          const int left = columns - warp_column - n;
          if (places[warp_row + m] < 0 || left <= 0) return;
          first = epilogue.first(first, residual_of(place), args.relu);
          if (left == 1) {
            target[place] = first;
            return;
          }
          second = epilogue.second(second, residual_of(place + 1), args.relu);
          if (args.pair_stores) {
            *reinterpret_cast<float2*>(target + place) = make_float2(first, second);
          } else {
            target[place] = first;
            target[place + 1] = second;
          }
        });
  } else {
    product.visit([&](int n) { return epilogue_of(warp_column + n); },
                  [&](int m, int n, const ChannelEpilogue& epilogue, float& value) {
                    const int64_t place = places[warp_row + m];
                    if (place < 0 || warp_column + n >= columns) return;
                    const int64_t at = place + warp_column + n;
                    value = epilogue(value, residual_of(at), args.relu);
                    target[at] = value;
                  });
  }
  if (branch.moments.rows == nullptr) return;

  // Statistics: of the warps, then of the tile.
  constexpr int kWarpsM = tile_m / warp_m;
  auto* of_warps = reinterpret_cast<float2*>(places + tile_m + 1);  // [kWarpsM][tile_n]
  static_assert((tile_m + 1) * 8 + kWarpsM * tile_n * 8 <= Shape::kStages * Shape::kStageBytes);
  const int tile_rows = min(tile_m, map.rows - first_m);
  const auto rows_of = [&](int of_warp) { return max(0, min(warp_m, tile_rows - of_warp * warp_m)); };
  product.column_moments(rows_of(warp_row / warp_m), [&](int n, float mean, float deviation) {
    of_warps[warp_row / warp_m * tile_n + warp_column + n] = make_float2(mean, deviation);
  });
  __syncthreads();
  const int part = map.first_part + row_tile - map.first_tile;
  if (channel == 0 && threadIdx.x == 0) branch.moments.rows[part] = tile_rows;
  for (int n = static_cast<int>(threadIdx.x); n < min(tile_n, columns); n += Shape::kThreads) {
    Moments moments;
    for (int at = 0; at < kWarpsM; ++at) {
      const float2 of_warp = of_warps[at * tile_n + n];
      moments.join(static_cast<float>(rows_of(at)), of_warp.x, of_warp.y);
    }
    moments.store(branch.moments.values, part, args.target_channels, channel + n);
  }
}

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
void launch_gather_tile(DeviceContext& context, const GatherArgs& args, bool chunks, int64_t row_tiles) {
  using Shape = GatherShape<math, tile_m, tile_n, warp_m, warp_n>;
  const dim3 grid(static_cast<unsigned>(row_tiles * args.groups * args.column_tiles),
                  static_cast<unsigned>(args.splits));
  const auto run = [&](auto kernel) {
    launch(kernel, grid, Shape::kThreads, size_t{Shape::kStages} * Shape::kStageBytes, context, args);
  };
  if constexpr (!in_16_bits(math)) {
    if (!chunks) return run(gather_product<math, tile_m, tile_n, warp_m, warp_n, false>);
  }
  run(gather_product<math, tile_m, tile_n, warp_m, warp_n, true>);
}

template <ConvMath math>
void launch_gather_of(DeviceContext& context, const GatherArgs& args, ConvTile tile, bool chunks, int64_t row_tiles) {
  switch (tile) {
    case ConvTile::m128n128:
      return launch_gather_tile<math, 128, 128, 32, 64>(context, args, chunks, row_tiles);
    case ConvTile::m128n64:
      return launch_gather_tile<math, 128, 64, 32, 64>(context, args, chunks, row_tiles);
    case ConvTile::m128n16:
      return launch_gather_tile<math, 128, 16, 32, 16>(context, args, chunks, row_tiles);
    default:
      return launch_gather_tile<math, 64, 64, 32, 32>(context, args, chunks, row_tiles);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
