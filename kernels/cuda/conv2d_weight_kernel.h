// The product behind conv2d_weight.h. Block: tile_m output channels x tile_n (tap, channel) columns of a group;
// blockIdx.x = (row tile, group, column tile), blockIdx.y = split. A step of the depth is a block of kPixels pixels;
// the tiles in shared memory are [pixel, channel] as in global memory, so both operands are read transposed:
//   fp32   lane (y, x) of 4 x 8 reads four neighbouring channels at a time: 16 i + 4 y of dy, 32 j + 4 x of x
//   tf32   fragments by single words; a row is 8 words longer than the tile, so the four pixels of a fragment lie in
//          different banks
//   16 bit ldmatrix.trans; the same 8 values make eight neighbouring pixels fall into 32 banks
// A thread fetches four neighbouring columns of several pixels, so its tap never changes; pixels move along without a
// division. Bytes: dy once per column tile, x once per row tile and tap (the taps hit the caches).
#pragma once

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/conv2d_product.h"
#include "kernels/cuda/conv2d_weight.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kRowPadding = 8;

// Sums of a warp over tiles of [pixel, channel]; as DepthProduct. row_a, row_b: elements from pixel to pixel.
template <ConvMath math, int warp_m, int warp_n, int row_a, int row_b>
class PixelProduct {
  using Element = ConvElement<math>;
  static constexpr int kM = warp_m / 16, kN = warp_n / 8, kPixels = pixels_per_block(math);
  static_assert(warp_m % 16 == 0 && warp_n % 16 == 0);

 public:
  // a, b: the warp's first channel of the first pixel.
  __device__ __forceinline__ void accumulate(const Element* a, const Element* b) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    constexpr int kStep = math == ConvMath::tf32 ? 8 : 16;
#pragma unroll
    for (int pixel = 0; pixel < kPixels; pixel += kStep) {
      uint32_t of_a[kM][4], of_b[kN / 2][4];
      if constexpr (math == ConvMath::tf32) {
        const float* word_a = a + (pixel + (lane & 3)) * row_a + lane / 4;
        const float* word_b = b + (pixel + (lane & 3)) * row_b + lane / 4;
#pragma unroll
        for (int i = 0; i < kM; ++i) {
#pragma unroll
          for (int r = 0; r < 4; ++r) of_a[i][r] = to_tf32(word_a[r / 2 * 4 * row_a + 16 * i + r % 2 * 8]);
        }
#pragma unroll
        for (int j = 0; j < kN / 2; ++j) {
#pragma unroll
          for (int r = 0; r < 4; ++r) of_b[j][r] = to_tf32(word_b[r % 2 * 4 * row_b + 16 * j + r / 2 * 8]);
        }
      } else {
        const int row = pixel + (lane & 7), low = (lane >> 3 & 1) * 8, high = (lane >> 4) * 8;
#pragma unroll
        for (int i = 0; i < kM; ++i) ldmatrix<4, true>(of_a[i], a + (row + high) * row_a + 16 * i + low);
#pragma unroll
        for (int j = 0; j < kN / 2; ++j) ldmatrix<4, true>(of_b[j], b + (row + low) * row_b + 16 * j + high);
      }
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) {
          const uint32_t column[2] = {of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]};
          if constexpr (math == ConvMath::tf32) {
            mma_m16n8k8_tf32(sums_[i][j], of_a[i], column);
          } else {
            mma_m16n8k16<Element>(sums_[i][j], of_a[i], column);
          }
        }
      }
    }
  }

  // use(m, n, value).
  template <typename Use>
  __device__ __forceinline__ void visit(Use&& use) const {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int i = 0; i < kM; ++i) {
#pragma unroll
      for (int j = 0; j < kN; ++j) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          use(16 * i + lane / 4 + r / 2 * 8, 8 * j + 2 * (lane & 3) + r % 2, sums_[i][j][r]);
        }
      }
    }
  }

 private:
  float sums_[kM][kN][4] = {};
};

template <int warp_m, int warp_n, int row_a, int row_b>
class PixelProduct<ConvMath::fp32, warp_m, warp_n, row_a, row_b> {
  static constexpr int kM = warp_m / 16, kN = warp_n / 32, kPixels = pixels_per_block(ConvMath::fp32);
  static_assert(warp_m % 16 == 0 && warp_n % 32 == 0);

 public:
  __device__ __forceinline__ void accumulate(const float* a, const float* b) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    a += lane / 8 * 4;
    b += (lane & 7) * 4;
#pragma unroll
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      float of_a[kM][4], of_b[kN][4];
#pragma unroll
      for (int i = 0; i < kM; ++i) get(of_a[i], a + pixel * row_a + 16 * i);
#pragma unroll
      for (int j = 0; j < kN; ++j) get(of_b[j], b + pixel * row_b + 32 * j);
#pragma unroll
      for (int i = 0; i < 4 * kM; ++i) {
#pragma unroll
        for (int j = 0; j < 4 * kN; ++j) sums_[i][j] += of_a[i / 4][i % 4] * of_b[j / 4][j % 4];
      }
    }
  }

  template <typename Use>
  __device__ __forceinline__ void visit(Use&& use) const {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int i = 0; i < 4 * kM; ++i) {
#pragma unroll
      for (int j = 0; j < 4 * kN; ++j) {
        use(i / 4 * 16 + lane / 8 * 4 + i % 4, j / 4 * 32 + (lane & 7) * 4 + j % 4, sums_[i][j]);
      }
    }
  }

 private:
  static __device__ __forceinline__ void get(float (&values)[4], const float* from) {
    const float4 four = load4(from);
    values[0] = four.x;
    values[1] = four.y;
    values[2] = four.z;
    values[3] = four.w;
  }

  float sums_[4 * kM][4 * kN] = {};
};

// A thread's share of one operand's tile: quad `quad` (four columns) of pixels row, row + kPassRows, ...
template <typename Element, int tile, int pixels, int threads>
struct WeightTile {
  static constexpr bool kAsync = std::is_same_v<Element, float>;
  static constexpr int kQuads = tile / 4, kPassRows = threads / kQuads, kRow = tile + kRowPadding;
  static constexpr int kRows = (pixels + kPassRows - 1) / kPassRows;
  static_assert(threads % kQuads == 0 && (pixels % kPassRows == 0 || kRows == 1));

  struct Nothing {};
  std::conditional_t<kAsync, Nothing, float[4]> values[kRows];
  int quad = static_cast<int>(threadIdx.x) % kQuads, row = static_cast<int>(threadIdx.x) / kQuads;

  __device__ __forceinline__ bool in_tile(int i) const {
    return pixels % kPassRows == 0 || row + i * kPassRows < pixels;
  }
  __device__ __forceinline__ Element* place(Element* to, int i) const {
    return to + (row + i * kPassRows) * kRow + 4 * quad;
  }
  __device__ __forceinline__ void get(Element* to, int i, const float* from, bool valid) {
    if constexpr (kAsync) {
      copy_async<16>(place(to, i), from, valid);
    } else {
      const float4 four = valid ? load4(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      values[i][0] = four.x;
      values[i][1] = four.y;
      values[i][2] = four.z;
      values[i][3] = four.w;
    }
  }
  __device__ __forceinline__ void get_one(Element* to, int i, int e, const float* from, bool valid) {
    if constexpr (kAsync) {
      copy_async<4>(place(to, i) + e, from, valid);
    } else {
      values[i][e] = valid ? *from : 0.0f;
    }
  }
  __device__ __forceinline__ void store(Element* to) const {
    if constexpr (!kAsync) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (!in_tile(i)) break;
        *reinterpret_cast<uint2*>(place(to, i)) =
            make_uint2(pack2<Element>(values[i][0], values[i][1]), pack2<Element>(values[i][2], values[i][3]));
      }
    }
  }
};

template <ConvMath math, int tile_m, int tile_n, int threads, bool quads>
class WeightFetch {
  using Element = ConvElement<math>;
  static constexpr int kPixels = pixels_per_block(math);
  using TileA = WeightTile<Element, tile_m, kPixels, threads>;
  using TileB = WeightTile<Element, tile_n, kPixels, threads>;

 public:
  static constexpr int kRowA = TileA::kRow, kRowB = TileB::kRow, kBytesA = kPixels * kRowA * int{sizeof(Element)},
                       kStageBytes = kBytesA + kPixels * kRowB * int{sizeof(Element)};

  __device__ __forceinline__ WeightFetch(const WeightArgs& args, int group, int first_m, int first_n, int block)
      : args_(args), block_(block) {
    channel_ = first_m + 4 * a_.quad;
    offset_a_ = int64_t{group} * args.group_out + channel_;
    column_ = first_n + 4 * b_.quad;
#pragma unroll
    for (int e = 0; e < kColumns; ++e) {
      const int column = column_ + e, tap = column / args.group_in;
      c_[e] = group * args.group_in + column - tap * args.group_in;
      v_[e] = tap / args.window_width - args.padding;
      u_[e] = tap - tap / args.window_width * args.window_width - args.padding;
    }
    while (map_ + 1 < args.map_count && block_ >= args.maps[map_ + 1].first_block) ++map_;
    enter_map();
  }

  // Issues the next block of pixels: into the stage, or into registers.
  __device__ __forceinline__ void fetch(char* stage) {
    if (map_ + 1 < args_.map_count && block_ >= args_.maps[map_ + 1].first_block) {
      do ++map_;
      while (map_ + 1 < args_.map_count && block_ >= args_.maps[map_ + 1].first_block);
      enter_map();
    }
    const WeightMap& map = args_.maps[map_];
    Element* to_a = reinterpret_cast<Element*>(stage);
#pragma unroll
    for (int i = 0; i < TileA::kRows; ++i) {
      if (!a_.in_tile(i)) break;
      const int pixel = pixel_a_ + i * TileA::kPassRows;
      const int64_t at = (map.out_row + pixel) * args_.out_channels + offset_a_;
      if constexpr (quads) {
        const bool valid = pixel < map.pixels && channel_ < args_.group_out;
        a_.get(to_a, i, valid ? args_.dy + at : args_.dy, valid);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const bool valid = pixel < map.pixels && channel_ + e < args_.group_out;
          a_.get_one(to_a, i, e, valid ? args_.dy + at + e : args_.dy, valid);
        }
      }
    }
    pixel_a_ += kPixels;
    Element* to_b = reinterpret_cast<Element*>(stage + kBytesA);
#pragma unroll
    for (int i = 0; i < TileB::kRows; ++i) {
      if (!b_.in_tile(i)) break;
      if constexpr (quads) {
        const bool valid = inside(map, i, 0);
        b_.get(to_b, i, valid ? args_.x + source_place(map, i, 0) : args_.x, valid);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const bool valid = inside(map, i, e);
          b_.get_one(to_b, i, e, valid ? args_.x + source_place(map, i, e) : args_.x, valid);
        }
      }
      pixel_b_[i] += kPixels;
      x_[i] += kPixels;
      while (x_[i] >= map.out_width) {
        x_[i] -= map.out_width;
        if (++y_[i] == map.out_height) {
          y_[i] = 0;
          cell_[i] += map.height * map.width;
        }
      }
    }
    ++block_;
  }

  __device__ __forceinline__ void store(char* stage) const {
    a_.store(reinterpret_cast<Element*>(stage));
    b_.store(reinterpret_cast<Element*>(stage + kBytesA));
  }

 private:
  static constexpr int kColumns = quads ? 1 : 4;

  __device__ __forceinline__ void enter_map() {
    const WeightMap& map = args_.maps[map_];
    const int first = (block_ - map.first_block) * kPixels;
    pixel_a_ = first + a_.row;
#pragma unroll
    for (int i = 0; i < TileB::kRows; ++i) {
      const int pixel = first + b_.row + i * TileB::kPassRows;
      const int line = pixel / map.out_width, image = line / map.out_height;
      pixel_b_[i] = pixel;
      x_[i] = pixel - line * map.out_width;
      y_[i] = line - image * map.out_height;
      cell_[i] = image * map.height * map.width;
    }
  }
  __device__ __forceinline__ bool inside(const WeightMap& map, int i, int e) const {
    return pixel_b_[i] < map.pixels && column_ + e < args_.columns &&
           static_cast<unsigned>(y_[i] * args_.stride + v_[e]) < static_cast<unsigned>(map.height) &&
           static_cast<unsigned>(x_[i] * args_.stride + u_[e]) < static_cast<unsigned>(map.width);
  }
  __device__ __forceinline__ int64_t source_place(const WeightMap& map, int i, int e) const {
    const int cell = cell_[i] + (y_[i] * args_.stride + v_[e]) * map.width + x_[i] * args_.stride + u_[e];
    return (map.in_row + cell) * args_.in_channels + c_[e];
  }

  const WeightArgs& args_;
  int block_, map_ = 0;
  TileA a_;
  TileB b_;
  int64_t offset_a_;
  int channel_, column_, pixel_a_;
  int c_[kColumns], v_[kColumns], u_[kColumns];
  int pixel_b_[TileB::kRows], x_[TileB::kRows], y_[TileB::kRows], cell_[TileB::kRows];
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool quads>
struct WeightShape {
  static constexpr int kWarpsN = tile_n / warp_n, kThreads = tile_m / warp_m * kWarpsN * 32;
  using Fetch = WeightFetch<math, tile_m, tile_n, kThreads, quads>;
  static constexpr bool kAsync = std::is_same_v<ConvElement<math>, float>;
  static constexpr int kStages = kAsync ? 3 : 2;
  static constexpr int kBlocks = std::min(16, (kAsync && quads ? 512 : 256) / kThreads);
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool quads>
__global__ void __launch_bounds__(WeightShape<math, tile_m, tile_n, warp_m, warp_n, quads>::kThreads,
                                  WeightShape<math, tile_m, tile_n, warp_m, warp_n, quads>::kBlocks)
    weight_product(const WeightArgs args) {
  using Shape = WeightShape<math, tile_m, tile_n, warp_m, warp_n, quads>;
  using Fetch = typename Shape::Fetch;
  using Element = ConvElement<math>;
  const unsigned rest = blockIdx.x / static_cast<unsigned>(args.column_tiles);
  const int first_n = static_cast<int>(blockIdx.x % static_cast<unsigned>(args.column_tiles)) * tile_n;
  const int group = static_cast<int>(rest % static_cast<unsigned>(args.groups));
  const int first_m = static_cast<int>(rest / static_cast<unsigned>(args.groups)) * tile_m;
  const int split = static_cast<int>(blockIdx.y), first_block = split * args.blocks_per_split;
  const int steps = min(args.blocks - first_block, args.blocks_per_split);

  char* stages = dynamic_shared<char>();
  const auto stage = [&](int step) { return stages + step % Shape::kStages * Fetch::kStageBytes; };
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Shape::kWarpsN * warp_m, warp_column = warp % Shape::kWarpsN * warp_n;
  PixelProduct<math, warp_m, warp_n, Fetch::kRowA, Fetch::kRowB> product;
  const auto accumulate = [&](int step) {
    product.accumulate(reinterpret_cast<const Element*>(stage(step)) + warp_row,
                       reinterpret_cast<const Element*>(stage(step) + Fetch::kBytesA) + warp_column);
  };
  Fetch next(args, group, first_m, first_n, first_block);
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
      accumulate(step);
    }
  } else {
    next.fetch(nullptr);
    next.store(stage(0));
    for (int step = 0; step < steps; ++step) {
      __syncthreads();
      if (step + 1 < steps) next.fetch(nullptr);
      accumulate(step);
      if (step + 1 < steps) next.store(stage(step + 1));
    }
  }

  float* target = args.dweight + (args.first_split + split) * args.split_stride;
  product.visit([&](int m, int n, float sum) {
    const int row = first_m + warp_row + m, column = first_n + warp_column + n;
    if (row >= args.group_out || column >= args.columns) return;
    const int64_t channel = int64_t{group} * args.group_out + row;
    target[channel * args.columns + column] = args.scale != nullptr ? args.scale[channel] * sum : sum;
  });
}

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
void launch_weight_tile(DeviceContext& context, const WeightArgs& args, bool quads) {
  using Shape = WeightShape<math, tile_m, tile_n, warp_m, warp_n, true>;
  const dim3 grid(static_cast<unsigned>(int64_t{args.row_tiles} * args.groups * args.column_tiles),
                  static_cast<unsigned>(args.splits));
  launch(quads ? weight_product<math, tile_m, tile_n, warp_m, warp_n, true>
               : weight_product<math, tile_m, tile_n, warp_m, warp_n, false>,
         grid, Shape::kThreads, static_cast<size_t>(Shape::kStages) * Shape::Fetch::kStageBytes, context, args);
}

template <ConvMath math>
void launch_weight_of(DeviceContext& context, const WeightArgs& args, ConvTile tile, bool quads) {
  switch (tile) {
    case ConvTile::m128n128:
      return launch_weight_tile<math, 128, 128, 32, 64>(context, args, quads);
    case ConvTile::m16n64:
      return launch_weight_tile<math, 16, 64, 16, 32>(context, args, quads);
    default:
      return launch_weight_tile<math, 64, 64, 32, 32>(context, args, quads);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
