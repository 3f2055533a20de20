// The two products of attention, for a warp that owns 16 rows (queries, or keys in their gradient):
//   Scores    16 x keys = A B^T over the channels: A its rows, B the other side's rows
//   RowSums   16 x width += W V over the other side's rows: W weights that lie where Scores left them, V rows
// All operands are tiles in shared memory whose rows are channels, so nothing is ever transposed in memory.
//   tf32, bf16, fp16   tensor cores. The sums of one product are the A operand of the next, lane by lane: for 16 bits
//                      columns 2t, 2t + 1 of two m16n8 results are what m16n8k16 wants; for tf32 a lane has columns 2t
//                      and 2t + 1 where m16n8k8 wants t and t + 4, so the rows of V are taken in that order instead
//   fp32               fused multiply-adds; lane (y, x) of 4 x 8 has rows y + 4 i. Weights pass through shared memory
//   of
//                      the warp, because every lane needs all weights of its rows
// Chunk c (16 bytes) of row r lies at c ^ (r mod 8), or as many bits as there are: eight neighbouring rows at one
// chunk, what ldmatrix and 16-byte reads take at once, lie in all 32 banks.
#pragma once

#include "kernels/cuda/conv2d_operands.h"
#include "kernels/cuda/tensor_core.h"
#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kWarpRows = 16, kTileChunk = 16;

// Where chunk `chunk` of row `row` starts in a tile with `chunks` of them in a row, in bytes. Repeats every 8 rows.
template <int chunks>
__host__ __device__ constexpr int tile_place(int row, int chunk) {
  static_assert(chunks >= 2 && (chunks & (chunks - 1)) == 0);
  const int turn = chunks >= 8 ? row & 7 : (row * chunks / 8) & (chunks - 1);
  return (row * chunks + (chunk ^ turn)) * kTileChunk;
}

// Combines the values of lanes that share a row: `lanes` neighbours.
template <int lanes, typename Combine>
__device__ __forceinline__ float reduce_row(float value, Combine combine) {
#pragma unroll
  for (int distance = 1; distance < lanes; distance *= 2) {
    value = combine(value, __shfl_xor_sync(kWholeWarp, value, distance));
  }
  return value;
}

// A lane's part of 16 x columns sums of tensor cores: value (i, j) of it is at row(i), column(j).
template <ConvMath math, int columns>
class Fragments {
 public:
  static constexpr int kRows = 2, kColumns = columns / 4, kLanesOfRow = 4;
  static_assert(columns % 16 == 0);

  static __device__ __forceinline__ int row(int i) { return (static_cast<int>(threadIdx.x) & 31) / 4 + 8 * i; }
  static __device__ __forceinline__ int column(int j) {
    return j / 2 * 8 + 2 * (static_cast<int>(threadIdx.x) & 3) + j % 2;
  }
  __device__ __forceinline__ float& at(int i, int j) { return sums_[j / 2][2 * i + j % 2]; }
  __device__ __forceinline__ float at(int i, int j) const { return sums_[j / 2][2 * i + j % 2]; }

 protected:
  __device__ __forceinline__ void multiply(int tile, const uint32_t (&a)[4], uint32_t first, uint32_t second) {
    const uint32_t b[2] = {first, second};
    if constexpr (math == ConvMath::tf32) {
      mma_m16n8k8_tf32(sums_[tile], a, b);
    } else {
      mma_m16n8k16<ConvElement<math>>(sums_[tile], a, b);
    }
  }
  static __device__ __forceinline__ void round(uint32_t (&fragment)[4]) {
    if constexpr (math != ConvMath::tf32) return;
#pragma unroll
    for (int r = 0; r < 4; ++r) fragment[r] = to_tf32(__uint_as_float(fragment[r]));
  }

  float sums_[columns / 8][4] = {};
};

template <ConvMath math, int keys>
class Scores : public Fragments<math, keys> {
 public:
  // own: the warp's rows, from a multiple of 16 on; other: `keys` rows. Both have rows of `chunks` chunks.
  template <int chunks>
  __device__ __forceinline__ void add_products(const char* own, const char* other) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    // More of a long row would be loaded ahead than registers hold.
#pragma unroll(chunks > 16 ? 4 : chunks / 2)
    for (int pair = 0; pair < chunks; pair += 2) {
      uint32_t a[4];
      ldmatrix<4, false>(a, own + tile_place<chunks>(lane & 15, pair + (lane >> 4)));
      this->round(a);
#pragma unroll
      for (int j = 0; j < keys / 16; ++j) {
        uint32_t b[4];
        ldmatrix<4, false>(b,
                           other + tile_place<chunks>(16 * j + (lane & 7) + (lane >> 4) * 8, pair + ((lane >> 3) & 1)));
        this->round(b);
        this->multiply(2 * j, a, b[0], b[1]);
        this->multiply(2 * j + 1, a, b[2], b[3]);
      }
    }
  }
};

template <ConvMath math, int width>
class RowSums : public Fragments<math, width> {
  using Part = Fragments<math, width>;
  static constexpr int kChunks = width * int{sizeof(ConvElement<math>)} / kTileChunk;

 public:
  // rows: `keys` rows of `width` channels. The last argument is memory that fp32 needs.
  template <int keys>
  __device__ __forceinline__ void add_weighted(const Scores<math, keys>& weights, const char* rows, char*) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    if constexpr (math == ConvMath::tf32) {
#pragma unroll
      for (int k = 0; k < keys / 8; ++k) {
        const uint32_t a[4] = {to_tf32(weights.at(0, 2 * k)), to_tf32(weights.at(1, 2 * k)),
                               to_tf32(weights.at(0, 2 * k + 1)), to_tf32(weights.at(1, 2 * k + 1))};
        const int row = 8 * k + 2 * (lane & 3), word = lane / 4;
#pragma unroll
        for (int n = 0; n < width / 8; ++n) {
          const auto value = [&](int of_row) {
            const char* chunk = rows + tile_place<kChunks>(of_row, 2 * n + word / 4);
            return to_tf32(reinterpret_cast<const float*>(chunk)[word % 4]);
          };
          this->multiply(n, a, value(row), value(row + 1));
        }
      }
    } else {
      using Element = ConvElement<math>;
#pragma unroll
      for (int k = 0; k < keys / 16; ++k) {
        const uint32_t a[4] = {pack2<Element>(weights.at(0, 4 * k), weights.at(0, 4 * k + 1)),
                               pack2<Element>(weights.at(1, 4 * k), weights.at(1, 4 * k + 1)),
                               pack2<Element>(weights.at(0, 4 * k + 2), weights.at(0, 4 * k + 3)),
                               pack2<Element>(weights.at(1, 4 * k + 2), weights.at(1, 4 * k + 3))};
#pragma unroll
        for (int n = 0; n < width / 16; ++n) {
          uint32_t b[4];
          ldmatrix<4, true>(b, rows + tile_place<kChunks>(16 * k + (lane & 15), 2 * n + (lane >> 4)));
          this->multiply(2 * n, a, b[0], b[1]);
          this->multiply(2 * n + 1, a, b[2], b[3]);
        }
      }
    }
  }

  // The first `count` rows, `stride` floats apart, and `channels` of each, times factor(i). vectors: `to` and both
  // numbers are multiples of four floats.
  template <typename Factor>
  __device__ __forceinline__ void store(float* to, int64_t stride, int count, int channels, bool vectors,
                                        Factor&& factor) const {
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      if (this->row(i) >= count) continue;
      float* row = to + this->row(i) * stride;
      const float by = factor(i);
#pragma unroll
      for (int j = 0; j < Part::kColumns; j += 2) {
        const int c = this->column(j);
        const float first = this->at(i, j) * by, second = this->at(i, j + 1) * by;
        if (vectors) {
          if (c < channels) *reinterpret_cast<float2*>(row + c) = make_float2(first, second);
        } else {
          if (c < channels) row[c] = first;
          if (c + 1 < channels) row[c + 1] = second;
        }
      }
    }
  }
};

template <int keys>
class Scores<ConvMath::fp32, keys> {
 public:
  static constexpr int kRows = kWarpRows / 4, kColumns = keys / 8, kLanesOfRow = 8;

  static __device__ __forceinline__ int row(int i) { return (static_cast<int>(threadIdx.x) & 31) / 8 + 4 * i; }
  static __device__ __forceinline__ int column(int j) { return (static_cast<int>(threadIdx.x) & 7) + 8 * j; }
  __device__ __forceinline__ float& at(int i, int j) { return sums_[i][j]; }
  __device__ __forceinline__ float at(int i, int j) const { return sums_[i][j]; }

  template <int chunks>
  __device__ __forceinline__ void add_products(const char* own, const char* other) {
#pragma unroll 2
    for (int chunk = 0; chunk < chunks; ++chunk) {
      float4 a[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
        a[i] = load4(reinterpret_cast<const float*>(own + tile_place<chunks>(row(i), chunk)));
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        const float4 b = load4(reinterpret_cast<const float*>(other + tile_place<chunks>(column(j), chunk)));
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          sums_[i][j] += a[i].x * b.x;
          sums_[i][j] += a[i].y * b.y;
          sums_[i][j] += a[i].z * b.z;
          sums_[i][j] += a[i].w * b.w;
        }
      }
    }
  }

 private:
  float sums_[kRows][kColumns] = {};
};

template <int width>
class RowSums<ConvMath::fp32, width> {
  static constexpr int kChunks = width / 4;
  static constexpr int kVector = width >= 32 ? 4 : 2;  // neighbouring channels of a lane

 public:
  static constexpr int kRows = kWarpRows / 4, kColumns = width / 8;

  static __device__ __forceinline__ int row(int i) { return (static_cast<int>(threadIdx.x) & 31) / 8 + 4 * i; }
  static __device__ __forceinline__ int column(int j) {
    return (static_cast<int>(threadIdx.x) & 7) * kVector + j / kVector * 8 * kVector + j % kVector;
  }
  __device__ __forceinline__ float& at(int i, int j) { return sums_[i][j]; }

  // memory: 16 x keys floats of the warp.
  template <int keys>
  __device__ __forceinline__ void add_weighted(const Scores<ConvMath::fp32, keys>& weights, const char* rows,
                                               char* memory) {
    constexpr int kWeightChunks = keys / 4;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < Scores<ConvMath::fp32, keys>::kColumns; ++j) {
        const int key = Scores<ConvMath::fp32, keys>::column(j);
        char* chunk = memory + tile_place<kWeightChunks>(row(i), key / 4);
        reinterpret_cast<float*>(chunk)[key % 4] = weights.at(i, j);
      }
    }
    __syncwarp();
#pragma unroll 1
    for (int chunk = 0; chunk < kWeightChunks; ++chunk) {
      float4 a[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        a[i] = load4(reinterpret_cast<const float*>(memory + tile_place<kWeightChunks>(row(i), chunk)));
      }
      add_row(
          a, [](const float4& four) { return four.x; }, rows, 4 * chunk);
      add_row(
          a, [](const float4& four) { return four.y; }, rows, 4 * chunk + 1);
      add_row(
          a, [](const float4& four) { return four.z; }, rows, 4 * chunk + 2);
      add_row(
          a, [](const float4& four) { return four.w; }, rows, 4 * chunk + 3);
    }
    __syncwarp();  // before the next weights overwrite these
  }

  template <typename Factor>
  __device__ __forceinline__ void store(float* to, int64_t stride, int count, int channels, bool vectors,
                                        Factor&& factor) const {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (row(i) >= count) continue;
      float* at_row = to + row(i) * stride;
      const float by = factor(i);
#pragma unroll
      for (int j = 0; j < kColumns; j += kVector) {
        const int c = column(j);
        if (kVector == 4 && vectors) {
          if (c >= channels) continue;
          store4(at_row + c, make_float4(sums_[i][j] * by, sums_[i][j + 1] * by, sums_[i][j + kVector - 2] * by,
                                         sums_[i][j + kVector - 1] * by));
        } else {
#pragma unroll
          for (int v = 0; v < kVector; ++v) {
            if (c + v < channels) at_row[c + v] = sums_[i][j + v] * by;
          }
        }
      }
    }
  }

 private:
  // One key: weight(a[i]) times its channels.
  template <typename Weight>
  __device__ __forceinline__ void add_row(const float4 (&a)[kRows], Weight&& weight, const char* rows, int key) {
#pragma unroll
    for (int j = 0; j < kColumns; j += kVector) {
      const int c = column(j);
      const float* from = reinterpret_cast<const float*>(rows + tile_place<kChunks>(key, c / 4)) + c % 4;
      float value[kVector];
      if constexpr (kVector == 4) {
        const float4 four = load4(from);
        value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
      } else {
        value[0] = from[0], value[1] = from[1];
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int v = 0; v < kVector; ++v) sums_[i][j + v] += weight(a[i]) * value[v];
      }
    }
  }

  float sums_[kRows][kColumns] = {};
};

}  // namespace TESSERA_PORT
}  // namespace tessera
