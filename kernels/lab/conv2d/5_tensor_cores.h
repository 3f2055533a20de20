// Version 5: tensor cores. A block of four warps makes 64 x 64 outputs, a warp 32 x 32 of them as 2 x 4 products of
// m16n8k8 in TF32; values are rounded to its 10 fraction bits once, on their way to shared memory. Both tiles keep
// their rows along the depth, as ldmatrix wants them: four matrices of 8 rows x 16 bytes at once are a fragment of A,
// or two of B. Rows of 20 floats put eight neighbouring rows into all 32 banks, for a quarter more shared memory.
// Nothing overlaps: while the tile is fetched, the tensor cores wait.
#pragma once

#include "kernels/cuda/tensor_core.h"
#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kTensorTile = 64, kTensorDepth = 16, kTensorThreads = 128, kTensorRow = kTensorDepth + 4;

template <bool vectors>
static __global__ void __launch_bounds__(kTensorThreads) multiply_on_tensor_cores(const Map map) {
  SHARED(a, uint32_t[kTensorTile][kTensorRow]);
  SHARED(b, uint32_t[kTensorTile][kTensorRow]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, warp = thread / 32;
  const int group = static_cast<int>(blockIdx.z), warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const int first_m = static_cast<int>(blockIdx.x) * kTensorTile, first_n = static_cast<int>(blockIdx.y) * kTensorTile;
  const int column = thread % 4 * 4;
  const auto lay_down = [&](uint32_t(&row)[kTensorRow], const float4& values) {
    row[column] = to_tf32(values.x);
    row[column + 1] = to_tf32(values.y);
    row[column + 2] = to_tf32(values.z);
    row[column + 3] = to_tf32(values.w);
  };
  float sums[2][4][4] = {};
  for (int k = 0; k < map.depth; k += kTensorDepth) {
#pragma unroll
    for (int row = thread / 4; row < kTensorTile; row += kTensorThreads / 4) {
      const WindowPlace window(map, first_m + row);
      lay_down(a[row], four_at<vectors>(k + column, [&](int at) { return source_at(map, window, group, at); }));
      lay_down(b[row], four_at<vectors>(k + column, [&](int at) { return weight_at(map, group, first_n + row, at); }));
    }
    __syncthreads();
#pragma unroll
    for (int at = 0; at < kTensorDepth; at += 8) {
      uint32_t of_a[2][4], of_b[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        ldmatrix<4, false>(of_a[i], &a[warp_m + 16 * i + (lane & 15)][at + (lane >> 4) * 4]);
        ldmatrix<4, false>(of_b[i], &b[warp_n + 16 * i + (lane & 7) + (lane >> 4) * 8][at + ((lane >> 3) & 1) * 4]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const uint32_t fragment[2] = {of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]};
          mma_m16n8k8_tf32(sums[i][j], of_a[i], fragment);
        }
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        store_sum(map, group, first_m + warp_m + 16 * i + lane / 4 + r / 2 * 8,
                  first_n + warp_n + 8 * j + lane % 4 * 2 + r % 2, sums[i][j][r]);
      }
    }
  }
}

inline void convolve_on_tensor_cores(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(in_vectors(map) ? multiply_on_tensor_cores<true> : multiply_on_tensor_cores<false>,
           tile_grid(map, kTensorTile, kTensorTile), kTensorThreads, 0, context, map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
