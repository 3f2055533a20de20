// The product behind conv2d_weight.h. Block: tile_m output channels x tile_n (tap, channel) columns of a group;
// blockIdx.x = (row tile, group, column tile), .y = split, .z = branch. A step of the depth is a block of kPixels
// pixels; the tiles in shared memory are [pixel, channel] as in global memory, so both operands are read transposed:
//   fp32   lane (y, x) of 4 x 8 reads four neighbouring channels at a time: 16 i + 4 y of dy, 32 j + 4 x of x
//   tf32   fragments by single words; a row is 8 words longer than the tile, so the four pixels of a fragment lie in
//          different banks
//   16 bit ldmatrix.trans; the same 8 values make eight neighbouring pixels fall into 32 banks
// A thread fetches the same 16 bytes of columns of several pixels (copy_pipeline.h), so its tap never changes; pixels
// move along without a division. Bytes: dy once per column tile, x once per row tile and tap (the taps hit the caches).
#pragma once

#include "kernels/cuda/conv2d_product.h"
#include "kernels/cuda/conv2d_weight.h"
#include "kernels/cuda/copy_pipeline.h"

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

// A thread's share of one operand's tile: chunk `chunk` of pixels row, row + kPassRows, ...
template <typename Element, int tile, int pixels, int threads>
struct WeightTile {
  static constexpr int kChunk = kChunkBytes / int{sizeof(Element)}, kChunks = tile / kChunk;
  static constexpr int kPassRows = threads / kChunks, kRow = tile + kRowPadding;
  static constexpr int kRows = ceil_div(pixels, kPassRows);
  static_assert(tile % kChunk == 0 && threads % kChunks == 0 && (pixels % kPassRows == 0 || kRows == 1));

  int chunk = static_cast<int>(threadIdx.x) % kChunks, row = static_cast<int>(threadIdx.x) / kChunks;

  __device__ __forceinline__ bool in_tile(int i) const {
    return pixels % kPassRows == 0 || row + i * kPassRows < pixels;
  }
  __device__ __forceinline__ Element* place(Element* to, int i) const {
    return to + (row + i * kPassRows) * kRow + kChunk * chunk;
  }
};

template <ConvMath math, int tile_m, int tile_n, int threads, bool chunks>
class WeightFetch {
  using Element = ConvElement<math>;
  static constexpr int kPixels = pixels_per_block(math);
  using TileA = WeightTile<Element, tile_m, kPixels, threads>;
  using TileB = WeightTile<Element, tile_n, kPixels, threads>;
  static constexpr int kChunk = TileA::kChunk;
  static_assert(chunks || sizeof(Element) == 4);

 public:
  static constexpr int kRowA = TileA::kRow, kRowB = TileB::kRow, kBytesA = kPixels * kRowA * int{sizeof(Element)},
                       kStageBytes = kBytesA + kPixels * kRowB * int{sizeof(Element)};

  __device__ __forceinline__ WeightFetch(const WeightArgs& args, const WeightBranch& branch, int group, int first_m,
                                         int first_n, int block)
      : args_(args), branch_(branch), block_(block), map_(branch.first_map) {
    channel_ = first_m + kChunk * a_.chunk;
    offset_a_ = int64_t{group} * args.dy_group + channel_;
    column_ = first_n + kChunk * b_.chunk;
#pragma unroll
    for (int e = 0; e < kColumns; ++e) {
      const int column = column_ + e, tap = column / args.x_group;
      c_[e] = group * args.x_group + column - tap * args.x_group;
      v_[e] = tap / args.window_width - args.padding;
      u_[e] = tap - tap / args.window_width * args.window_width - args.padding;
    }
    while (map_ + 1 < branch.map_end && block_ >= args.maps[map_ + 1].first_block) ++map_;
    enter_map();
  }

  // Issues the copies of the next block of pixels.
  __device__ __forceinline__ void operator()(char* stage) {
    if (map_ + 1 < branch_.map_end && block_ >= args_.maps[map_ + 1].first_block) {
      do ++map_;
      while (map_ + 1 < branch_.map_end && block_ >= args_.maps[map_ + 1].first_block);
      enter_map();
    }
    const WeightMap& map = args_.maps[map_];
    const Element *x = static_cast<const Element*>(branch_.x), *dy = static_cast<const Element*>(branch_.dy);
    Element* to_a = reinterpret_cast<Element*>(stage);
#pragma unroll
    for (int i = 0; i < TileA::kRows; ++i) {
      if (!a_.in_tile(i)) break;
      const int pixel = pixel_a_ + i * TileA::kPassRows;
      const int64_t at = (map.out_row + pixel) * (args_.groups * args_.dy_group) + offset_a_;
      if constexpr (chunks) {
        const bool valid = pixel < map.pixels && channel_ < args_.dy_group;
        copy_async<kChunkBytes>(a_.place(to_a, i), valid ? dy + at : dy, valid);
      } else {
#pragma unroll
        for (int e = 0; e < kChunk; ++e) {
          const bool valid = pixel < map.pixels && channel_ + e < args_.dy_group;
          copy_async<4>(a_.place(to_a, i) + e, valid ? dy + at + e : dy, valid);
        }
      }
    }
    pixel_a_ += kPixels;
    Element* to_b = reinterpret_cast<Element*>(stage + kBytesA);
#pragma unroll
    for (int i = 0; i < TileB::kRows; ++i) {
      if (!b_.in_tile(i)) break;
      if constexpr (chunks) {
        const bool valid = inside(map, i, 0);
        copy_async<kChunkBytes>(b_.place(to_b, i), valid ? x + source_place(map, i, 0) : x, valid);
      } else {
#pragma unroll
        for (int e = 0; e < kChunk; ++e) {
          const bool valid = inside(map, i, e);
          copy_async<4>(b_.place(to_b, i) + e, valid ? x + source_place(map, i, e) : x, valid);
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

 private:
  static constexpr int kColumns = chunks ? 1 : kChunk;

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
    return (map.in_row + cell) * (args_.groups * args_.x_group) + c_[e];
  }

  const WeightArgs& args_;
  const WeightBranch& branch_;
  int block_, map_;
  TileA a_;
  TileB b_;
  int64_t offset_a_;
  int channel_, column_, pixel_a_;
  int c_[kColumns], v_[kColumns], u_[kColumns];
  int pixel_b_[TileB::kRows], x_[TileB::kRows], y_[TileB::kRows], cell_[TileB::kRows];
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool chunks>
struct WeightShape {
  static constexpr int kWarpsN = tile_n / warp_n, kThreads = tile_m / warp_m * kWarpsN * 32;
  using Fetch = WeightFetch<math, tile_m, tile_n, kThreads, chunks>;
  static constexpr int kStages = math == ConvMath::fp32 ? 3 : std::min(4, (51 << 10) / Fetch::kStageBytes);
  static constexpr int kBlocks = std::min(16, (chunks ? 512 : 256) / kThreads);
};

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n, bool chunks>
__global__ void __launch_bounds__(WeightShape<math, tile_m, tile_n, warp_m, warp_n, chunks>::kThreads,
                                  WeightShape<math, tile_m, tile_n, warp_m, warp_n, chunks>::kBlocks)
    weight_product(const WeightArgs args) {
  using Shape = WeightShape<math, tile_m, tile_n, warp_m, warp_n, chunks>;
  using Fetch = typename Shape::Fetch;
  using Element = ConvElement<math>;
  const unsigned rest = blockIdx.x / static_cast<unsigned>(args.column_tiles);
  const int first_n = static_cast<int>(blockIdx.x % static_cast<unsigned>(args.column_tiles)) * tile_n;
  const int group = static_cast<int>(rest % static_cast<unsigned>(args.groups));
  const int first_m = static_cast<int>(rest / static_cast<unsigned>(args.groups)) * tile_m;
  const WeightBranch& branch = args.branches[blockIdx.z];
  const int split = static_cast<int>(blockIdx.y), first_block = split * branch.blocks_per_split;
  const int steps = min(branch.blocks - first_block, branch.blocks_per_split);
  if (split >= branch.splits) return;  // the whole block: another branch has more of them

  char* stages = dynamic_shared<char>();
  const auto stage = [&](int at) { return stages + at * Fetch::kStageBytes; };
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Shape::kWarpsN * warp_m, warp_column = warp % Shape::kWarpsN * warp_n;
  PixelProduct<math, warp_m, warp_n, Fetch::kRowA, Fetch::kRowB> product;
  Fetch fetch(args, branch, group, first_m, first_n, first_block);
  copy_pipeline<Shape::kStages>(
      steps, [&](int at) { fetch(stage(at)); },
      [&](int at) {
        product.accumulate(reinterpret_cast<const Element*>(stage(at)) + warp_row,
                           reinterpret_cast<const Element*>(stage(at) + Fetch::kBytesA) + warp_column);
      });

  float* target = branch.dweight + split * args.split_stride;
  const int kept = args.columns / args.x_group * args.group_in;  // columns of a row of weights
  product.visit([&](int m, int n, float sum) {
    const int row = first_m + warp_row + m;
    int column = first_n + warp_column + n;
    if (row >= args.group_out || column >= args.columns) return;
    if constexpr (in_16_bits(math)) {
      const int tap = column / args.x_group, c = column - tap * args.x_group;
      if (c >= args.group_in) return;
      column = tap * args.group_in + c;
    }
    const int64_t channel = int64_t{group} * args.group_out + row;
    target[channel * kept + column] = branch.scale != nullptr ? branch.scale[channel] * sum : sum;
  });
}

template <ConvMath math, int tile_m, int tile_n, int warp_m, int warp_n>
void launch_weight_tile(DeviceContext& context, const WeightArgs& args, bool chunks) {
  using Shape = WeightShape<math, tile_m, tile_n, warp_m, warp_n, true>;
  const dim3 grid(static_cast<unsigned>(int64_t{args.row_tiles} * args.groups * args.column_tiles),
                  static_cast<unsigned>(args.splits), static_cast<unsigned>(args.branch_count));
  const auto run = [&](auto kernel) {
    launch(kernel, grid, Shape::kThreads, size_t{Shape::kStages} * Shape::Fetch::kStageBytes, context, args);
  };
  if constexpr (!in_16_bits(math)) {
    if (!chunks) return run(weight_product<math, tile_m, tile_n, warp_m, warp_n, false>);
  }
  run(weight_product<math, tile_m, tile_n, warp_m, warp_n, true>);
}

template <ConvMath math>
void launch_weight_of(DeviceContext& context, const WeightArgs& args, ConvTile tile, bool chunks) {
  switch (tile) {
    case ConvTile::m128n128:
      return launch_weight_tile<math, 128, 128, 32, 64>(context, args, chunks);
    case ConvTile::m16n64:
      return launch_weight_tile<math, 16, 64, 16, 32>(context, args, chunks);
    default:
      return launch_weight_tile<math, 64, 64, 32, 32>(context, args, chunks);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
