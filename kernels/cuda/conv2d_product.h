// The inner product of the convolutions on tiles in shared memory whose rows run along the depth: a warp multiplies
// warp_m rows of A by warp_n rows of B, both [rows, kDepth], and keeps the sums in registers.
//   fp32                     fused multiply-adds; lane (y, x) of 4 x 8 has rows y + 4 i of A and x + 8 j of B
//   tf32                     mma m16n8k8 on operands rounded to 10 fraction bits
//   bf16, fp16               mma m16n8k16, sums in fp32
//   fp16_accumulate_chunked  sums of kDepth products in fp16, added up in fp32: twice the rate on GeForce
// A tile row is four chunks of 16 bytes. Chunk c of row r lies at place c ^ (r / 2 % 4): eight neighbouring rows at one
// depth, what ldmatrix and the lanes of a fused multiply-add read at once, then lie in all 32 banks.
#pragma once

#include "kernels/cuda/conv2d_operands.h"
#include "kernels/cuda/tensor_core.h"
#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kChunkBytes = 16, kChunksPerRow = 4, kTileRowBytes = kChunkBytes * kChunksPerRow;

// Where chunk `chunk` of row `row` starts in a tile, in bytes.
__host__ __device__ constexpr int chunk_place(int row, int chunk) {
  return (row * kChunksPerRow + (chunk ^ ((row >> 1) & 3))) * kChunkBytes;
}

// The two values of a register of half accumulators.
__device__ __forceinline__ float2 unpack_halves(uint32_t pair) {
  const uint16_t low = static_cast<uint16_t>(pair), high = static_cast<uint16_t>(pair >> 16);
  return make_float2(to_float(reinterpret_cast<const half&>(low)), to_float(reinterpret_cast<const half&>(high)));
}

struct ColumnMoments {
  float mean, deviation;  // sum of squared deviations
};

// Of the values of a column in the first `rows` rows of a warp. for_each(use) calls use(row, value) for the lane's own;
// lanes with the same remainder by `columns` share a column, and get its result.
template <int columns, typename ForEach>
__device__ __forceinline__ ColumnMoments moments_of_column(int rows, ForEach&& for_each) {
  const auto total = [&](auto&& of) {
    float sum = 0.0f;
    for_each([&](int row, float value) { sum += row < rows ? of(value) : 0.0f; });
#pragma unroll
    for (int distance = columns; distance < 32; distance *= 2) sum += __shfl_xor_sync(kWholeWarp, sum, distance);
    return sum;
  };
  const float inverse = rows > 0 ? 1.0f / static_cast<float>(rows) : 0.0f;
  const float centre = total([](float value) { return value; }) * inverse;
  // What rounding left of the mean.
  const float rest = total([centre](float value) { return value - centre; });
  const float squares = total([centre](float value) { return (value - centre) * (value - centre); });
  return {centre + rest * inverse, squares - rest * rest * inverse};
}

// Sums of a warp's part of a tile. visit(prepare, use) calls, for each of the lane's columns n, column = prepare(n) and
// use(m, n, column, value) for its rows m; with tensor cores for pairs of columns, use(m, n, columns, value at n, value
// at n + 1), n even. use may change the values. column_moments(rows, use) calls, in one lane for each column n, use(n,
// mean, sum of squared deviations) of the values in the warp's first `rows` rows; all lanes take part.
template <ConvMath math, int warp_m, int warp_n>
class DepthProduct {
  static constexpr int kM = warp_m / 16, kN = warp_n / 8;
  static_assert(warp_m % 16 == 0 && warp_n % 16 == 0);

 public:
  static constexpr bool kPairs = true;

  // a, b: the warp's first rows; both start at a multiple of 8 rows of their tile, so the places are those of row 0.
  __device__ __forceinline__ void accumulate(const char* a, const char* b) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    uint32_t chunk_sums[kM][kN][2];
    if constexpr (math == ConvMath::fp16_accumulate_chunked) {
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) chunk_sums[i][j][0] = chunk_sums[i][j][1] = 0;
      }
    }
#pragma unroll
    for (int pair = 0; pair < kChunksPerRow; pair += 2) {
      uint32_t of_a[kM][4], of_b[kN / 2][4];
#pragma unroll
      for (int i = 0; i < kM; ++i) {
        ldmatrix<4, false>(of_a[i], a + chunk_place(16 * i + (lane & 15), pair + (lane >> 4)));
      }
#pragma unroll
      for (int j = 0; j < kN / 2; ++j) {
        ldmatrix<4, false>(of_b[j], b + chunk_place(16 * j + (lane & 7) + (lane >> 4) * 8, pair + ((lane >> 3) & 1)));
      }
      if constexpr (math == ConvMath::tf32) {
        round(of_a);
        round(of_b);
      }
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) {
          const uint32_t(&quad)[4] = of_b[j / 2];
          const uint32_t column[2] = {quad[j % 2 * 2], quad[j % 2 * 2 + 1]};
          if constexpr (math == ConvMath::tf32) {
            mma_m16n8k8_tf32(sums_[i][j], of_a[i], column);
          } else if constexpr (math == ConvMath::fp16_accumulate_chunked) {
            mma_m16n8k16_half(chunk_sums[i][j], of_a[i], column);
          } else {
            mma_m16n8k16<ConvElement<math>>(sums_[i][j], of_a[i], column);
          }
        }
      }
    }
    if constexpr (math == ConvMath::fp16_accumulate_chunked) {
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) {
#pragma unroll
          for (int row = 0; row < 2; ++row) {
            const float2 sum = unpack_halves(chunk_sums[i][j][row]);
            sums_[i][j][2 * row] += sum.x;
            sums_[i][j][2 * row + 1] += sum.y;
          }
        }
      }
    }
  }

  template <typename Prepare, typename Use>
  __device__ __forceinline__ void visit(Prepare&& prepare, Use&& use) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const int n = 8 * j + 2 * (lane & 3);
      const auto columns = prepare(n);
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          use(16 * i + 8 * row + lane / 4, n, columns, sums_[i][j][2 * row], sums_[i][j][2 * row + 1]);
        }
      }
    }
  }

  template <typename Use>
  __device__ __forceinline__ void column_moments(int rows, Use&& use) const {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        const ColumnMoments of_column = moments_of_column<4>(rows, [&](auto&& visit_value) {
#pragma unroll
          for (int i = 0; i < kM; ++i) {
#pragma unroll
            for (int row = 0; row < 2; ++row) visit_value(16 * i + 8 * row + lane / 4, sums_[i][j][2 * row + side]);
          }
        });
        if (lane < 4) use(8 * j + 2 * lane + side, of_column.mean, of_column.deviation);
      }
    }
  }

 private:
  template <int count>
  static __device__ __forceinline__ void round(uint32_t (&fragments)[count][4]) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
#pragma unroll
      for (int r = 0; r < 4; ++r) fragments[i][r] = to_tf32(__uint_as_float(fragments[i][r]));
    }
  }

  float sums_[kM][kN][4] = {};
};

template <int warp_m, int warp_n>
class DepthProduct<ConvMath::fp32, warp_m, warp_n> {
  static constexpr int kM = warp_m / 4, kN = warp_n / 8;
  static_assert(warp_m % 8 == 0 && warp_n % 8 == 0);

 public:
  static constexpr bool kPairs = false;

  __device__ __forceinline__ void accumulate(const char* a, const char* b) {
    const int lane = static_cast<int>(threadIdx.x) & 31, y = lane / 8, x = lane & 7;
#pragma unroll
    for (int chunk = 0; chunk < kChunksPerRow; ++chunk) {
      float4 of_a[kM];
#pragma unroll
      for (int i = 0; i < kM; ++i) of_a[i] = load4(reinterpret_cast<const float*>(a + chunk_place(y + 4 * i, chunk)));
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const float4 of_b = load4(reinterpret_cast<const float*>(b + chunk_place(x + 8 * j, chunk)));
#pragma unroll
        for (int i = 0; i < kM; ++i) {
          sums_[i][j] += of_a[i].x * of_b.x;
          sums_[i][j] += of_a[i].y * of_b.y;
          sums_[i][j] += of_a[i].z * of_b.z;
          sums_[i][j] += of_a[i].w * of_b.w;
        }
      }
    }
  }

  template <typename Prepare, typename Use>
  __device__ __forceinline__ void visit(Prepare&& prepare, Use&& use) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const int n = (lane & 7) + 8 * j;
      const auto column = prepare(n);
#pragma unroll
      for (int i = 0; i < kM; ++i) use(lane / 8 + 4 * i, n, column, sums_[i][j]);
    }
  }

  template <typename Use>
  __device__ __forceinline__ void column_moments(int rows, Use&& use) const {
    const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const ColumnMoments of_column = moments_of_column<8>(rows, [&](auto&& visit_value) {
#pragma unroll
        for (int i = 0; i < kM; ++i) visit_value(lane / 8 + 4 * i, sums_[i][j]);
      });
      if (lane < 8) use(8 * j + lane, of_column.mean, of_column.deviation);
    }
  }

 private:
  float sums_[kM][kN] = {};
};

}  // namespace TESSERA_PORT
}  // namespace tessera
