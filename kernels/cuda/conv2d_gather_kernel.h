// The implicit GEMM behind conv2d_gather.h: target[m][n] = sum over k of source row(m, tap(k))[c(k)] * weight[n][k].
// Block: tile_m target rows x tile_n channels of a group; blockIdx.x = (row tile, group, column tile), the last
//   fastest, so blocks that run together read the same rows; blockIdx.y = split of the depth.
// Warp: warp_m x warp_n of it (conv2d_product.h).
// Depth k = (tap, channel) in steps of 64 bytes. Operands of 32 bits: cp.async into a ring of three stages, one barrier
//   a step. Operands of 16 bits: floats to registers one step ahead, converted on the way to shared memory, two stages.
//   A thread fetches the same four depths of several rows; its position in the window moves along without a division.
// Bytes: source once per column tile and tap (the taps hit the caches), weights once per row tile, target once.
// FLOPs: 2 * rows * target_channels * depth.
#pragma once

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/conv2d_gather.h"
#include "kernels/cuda/conv2d_product.h"

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

// The part of a tile that one thread fetches. `Element` is what shared memory holds; another type in global memory
// needs another fetch and store only.
template <typename Element, int tile_m, int tile_n, int threads, bool quads>
class GatherFetch {
  static constexpr bool kAsync = std::is_same_v<Element, float>;
  static constexpr int kDepth = kTileRowBytes / static_cast<int>(sizeof(Element)), kQuads = kDepth / 4;
  static constexpr int kPassRows = threads / kQuads;  // rows that the block fetches at a time
  static constexpr int kRowsA = (tile_m + kPassRows - 1) / kPassRows, kRowsB = (tile_n + kPassRows - 1) / kPassRows;

 public:
  __device__ __forceinline__ GatherFetch(const GatherArgs& args, const GatherMap& map, int group, int first_m,
                                         int first_n, int first_depth)
      : source_(args.source),
        weight_(args.weight),
        source_stride_(args.source_channels),
        source_group_(args.source_group),
        height_(map.source_height),
        width_(map.source_width),
        taps_width_(map.taps_width),
        depth_end_(map.depth),
        quad_(static_cast<int>(threadIdx.x) % kQuads),
        row_(static_cast<int>(threadIdx.x) / kQuads),
        depth_(first_depth + 4 * quad_),
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

  // Issues the next step: into the stage, or into registers.
  __device__ __forceinline__ void fetch(char* stage) {
#pragma unroll
    for (int i = 0; i < kRowsA; ++i) {
      const int row = row_ + i * kPassRows;
      if (tile_m % kPassRows != 0 && row >= tile_m) break;
      if constexpr (quads) {
        const bool valid = inside(i, at_) && depth_ < depth_end_;
        get(stage, row, values_a_[i], valid ? source_ + source_place(i, at_) : source_, valid);
      } else {
        DepthPosition at = at_;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const bool valid = inside(i, at) && depth_ + e < depth_end_;
          get_one(stage, row, e, values_a_[i], valid ? source_ + source_place(i, at) : source_, valid);
          at.advance(1, source_group_, taps_width_);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRowsB; ++i) {
      const int row = row_ + i * kPassRows;
      if (tile_n % kPassRows != 0 && row >= tile_n) break;
      const bool valid = row < columns_ && depth_ < depth_end_;
      const float* from = valid ? weight_ + weight_offset_ + int64_t{i * kPassRows} * depth_end_ + depth_ : weight_;
      if constexpr (quads) {
        get(stage, tile_m + row, values_b_[i], from, valid);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const bool one = valid && depth_ + e < depth_end_;
          get_one(stage, tile_m + row, e, values_b_[i], one ? from + e : weight_, one);
        }
      }
    }
    depth_ += kDepth;
    at_.advance(kDepth, source_group_, taps_width_);
  }

  // From registers to the stage.
  __device__ __forceinline__ void store(char* stage) {
    if constexpr (!kAsync) {
#pragma unroll
      for (int i = 0; i < kRowsA; ++i) {
        const int row = row_ + i * kPassRows;
        if (tile_m % kPassRows == 0 || row < tile_m) put(stage, row, values_a_[i]);
      }
#pragma unroll
      for (int i = 0; i < kRowsB; ++i) {
        const int row = row_ + i * kPassRows;
        if (tile_n % kPassRows == 0 || row < tile_n) put(stage, tile_m + row, values_b_[i]);
      }
    }
  }

 private:
  struct Nothing {};
  using Quad = std::conditional_t<kAsync, Nothing, float[4]>;

  __device__ __forceinline__ bool inside(int i, const DepthPosition& at) const {
    return static_cast<unsigned>(y_[i] + at.v) < static_cast<unsigned>(height_) &&
           static_cast<unsigned>(x_[i] + at.u) < static_cast<unsigned>(width_);
  }
  __device__ __forceinline__ int64_t source_place(int i, const DepthPosition& at) const {
    const int cell = cell_[i] + (y_[i] + at.v) * width_ + x_[i] + at.u;
    return source_offset_ + int64_t{cell} * source_stride_ + at.c;
  }

  // B's rows follow A's. chunk_place of a row is the same when tile_m, a multiple of 8, is added to it.
  __device__ __forceinline__ char* place(char* stage, int row) const {
    constexpr int kQuadBytes = 4 * static_cast<int>(sizeof(Element));
    return stage + chunk_place(row, quad_ * kQuadBytes / kChunkBytes) + quad_ * kQuadBytes % kChunkBytes;
  }
  __device__ __forceinline__ void get(char* stage, int row, Quad& values, const float* from, bool valid) const {
    if constexpr (kAsync) {
      copy_async<16>(place(stage, row), from, valid);
    } else {
      const float4 four = valid ? load4(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      values[0] = four.x;
      values[1] = four.y;
      values[2] = four.z;
      values[3] = four.w;
    }
  }
  __device__ __forceinline__ void get_one(char* stage, int row, int e, Quad& values, const float* from,
                                          bool valid) const {
    if constexpr (kAsync) {
      copy_async<4>(place(stage, row) + 4 * e, from, valid);
    } else {
      values[e] = valid ? *from : 0.0f;
    }
  }
  __device__ __forceinline__ void put(char* stage, int row, const Quad& values) const {
    if constexpr (!kAsync) {
      *reinterpret_cast<uint2*>(place(stage, row)) =
          make_uint2(pack2<Element>(values[0], values[1]), pack2<Element>(values[2], values[3]));
    }
  }

  const float *source_, *weight_;
  int source_stride_, source_group_, height_, width_, taps_width_, depth_end_;
  int quad_, row_, depth_;
  DepthPosition at_;
  int64_t source_offset_, weight_offset_;
  int columns_;
  int cell_[kRowsA], y_[kRowsA], x_[kRowsA];
  Quad values_a_[kRowsA], values_b_[kRowsB];
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
struct GatherShape {
  using Element = ConvElement<math>;
  static constexpr bool kAsync = std::is_same_v<Element, float>;
  static constexpr int kDepth = kTileRowBytes / static_cast<int>(sizeof(Element));
  static constexpr int kWarpsN = tile_n / warp_n, kThreads = tile_m / warp_m * kWarpsN * 32;
  static constexpr int kStages = kAsync ? 3 : 2, kStageBytes = (tile_m + tile_n) * kTileRowBytes;
  // Blocks that a multiprocessor shall at least hold. With twice as many, at 128 registers a thread, sums spill.
  static constexpr int kBlocks = 256 / kThreads;
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

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool quads>
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
  const auto stage = [&](int step) { return stages + step % Shape::kStages * Shape::kStageBytes; };
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Shape::kWarpsN * warp_m, warp_column = warp % Shape::kWarpsN * warp_n;
  const int a_bytes = warp_row * kTileRowBytes, b_bytes = (tile_m + warp_column) * kTileRowBytes;

  DepthProduct<math, warp_m, warp_n> product;
  if (steps > 0) {
    GatherFetch<typename Shape::Element, tile_m, tile_n, Shape::kThreads, quads> next(
        args, map, group, first_m, first_n, first_step * Shape::kDepth);
    if constexpr (Shape::kAsync) {
#pragma unroll
      for (int step = 0; step < Shape::kStages - 1; ++step) {
        if (step < steps) next.fetch(stage(step));
        copy_async_commit();
      }
      for (int step = 0; step < steps; ++step) {
        copy_async_wait<Shape::kStages - 2>();
        __syncthreads();  // the step is in place, and nobody reads the stage that the next fetch overwrites
        const int ahead = step + Shape::kStages - 1;
        if (ahead < steps) next.fetch(stage(ahead));
        copy_async_commit();
        product.accumulate(stage(step) + a_bytes, stage(step) + b_bytes);
      }
    } else {
      next.fetch(nullptr);
      next.store(stage(0));
      for (int step = 0; step < steps; ++step) {
        __syncthreads();
        if (step + 1 < steps) next.fetch(nullptr);
        product.accumulate(stage(step) + a_bytes, stage(step) + b_bytes);
        if (step + 1 < steps) next.store(stage(step + 1));
      }
    }
  }

  // Where the rows of the tile lie in the target, -1 beyond the map; in the memory of the stages.
  __syncthreads();
  int64_t* places = dynamic_shared<int64_t>();
  for (int row = static_cast<int>(threadIdx.x); row < tile_m; row += Shape::kThreads) {
    const int m = first_m + row, line = m / map.width, image = line / map.height;
    const int y = (line - image * map.height) * map.target_step + map.target_y;
    const int x = (m - line * map.width) * map.target_step + map.target_x;
    const int64_t target = map.target_row + (int64_t{image} * map.target_height + y) * map.target_width + x;
    places[row] = m < map.rows ? target * args.target_channels + group * args.target_group + first_n : -1;
  }
  __syncthreads();

  const int columns = args.target_group - first_n, channel = group * args.target_group + first_n;
  float* target = args.target + split * args.split_stride;
  const auto epilogue_of = [&](int n) {
    return ChannelEpilogue(n < columns ? args.scale : nullptr, n < columns ? args.bias : nullptr, channel + n);
  };
  const auto residual_of = [&](int64_t place) { return args.residual != nullptr ? args.residual[place] : 0.0f; };
  if constexpr (DepthProduct<math, warp_m, warp_n>::kPairs) {
    product.visit(
        [&](int n) {
          return ChannelPairEpilogue{epilogue_of(warp_column + n), epilogue_of(warp_column + n + 1)};
        },
        [&](int m, int n, const ChannelPairEpilogue& epilogue, float first, float second) {
          const int64_t place = places[warp_row + m] + warp_column + n;
          const int left = columns - warp_column - n;
          if (places[warp_row + m] < 0 || left <= 0) return;
          const float y = epilogue.first(first, residual_of(place), args.relu);
          if (left == 1) {
            target[place] = y;
            return;
          }
          const float z = epilogue.second(second, residual_of(place + 1), args.relu);
          if (args.pair_stores) {
            *reinterpret_cast<float2*>(target + place) = make_float2(y, z);
          } else {
            target[place] = y;
            target[place + 1] = z;
          }
        });
  } else {
    product.visit([&](int n) { return epilogue_of(warp_column + n); },
                  [&](int m, int n, const ChannelEpilogue& epilogue, float sum) {
                    const int64_t place = places[warp_row + m];
                    if (place < 0 || warp_column + n >= columns) return;
                    const int64_t at = place + warp_column + n;
                    target[at] = epilogue(sum, residual_of(at), args.relu);
                  });
  }
}

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
void launch_gather_tile(DeviceContext& context, const GatherArgs& args, bool quads, int64_t row_tiles) {
  using Shape = GatherShape<math, tile_m, tile_n, warp_m, warp_n>;
  const dim3 grid(static_cast<unsigned>(row_tiles * args.groups * args.column_tiles),
                  static_cast<unsigned>(args.splits));
  launch(quads ? gather_product<math, tile_m, tile_n, warp_m, warp_n, true>
               : gather_product<math, tile_m, tile_n, warp_m, warp_n, false>,
         grid, Shape::kThreads, static_cast<size_t>(Shape::kStages) * Shape::kStageBytes, context, args);
}

template <ConvMath math>
void launch_gather_of(DeviceContext& context, const GatherArgs& args, ConvTile tile, bool quads, int64_t row_tiles) {
  switch (tile) {
    case ConvTile::m128n128:
      return launch_gather_tile<math, 128, 128, 32, 64>(context, args, quads, row_tiles);
    case ConvTile::m128n64:
      return launch_gather_tile<math, 128, 64, 32, 64>(context, args, quads, row_tiles);
    case ConvTile::m128n16:
      return launch_gather_tile<math, 128, 16, 32, 16>(context, args, quads, row_tiles);
    default:
      return launch_gather_tile<math, 64, 64, 32, 32>(context, args, quads, row_tiles);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
