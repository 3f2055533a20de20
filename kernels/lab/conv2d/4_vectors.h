// Version 4: four floats at a time. A block makes 128 x 128 outputs, a thread 8 x 8: four rows of each half times four
// columns of each half. A thread fetches 16 bytes of a row of A and of B, along the depth, and lays them down turned,
// [k][m]: then the four rows of a half are one read of 16 bytes. Four reads for 64 multiply-adds: the reads no longer
// limit. Rows of 132 floats: the turned stores of a warp meet all 32 banks once. Maps whose groups of channels are no
// multiple of four are fetched float by float.
#pragma once

#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kVectorTile = 128, kVectorHalf = 64, kVectorDepth = 8, kVectorThreads = 256;

template <bool vectors>
static __global__ void __launch_bounds__(kVectorThreads) multiply_vectors(const Map map) {
  SHARED(a, float[kVectorDepth][kVectorTile + 4]);
  SHARED(b, float[kVectorDepth][kVectorTile + 4]);
  const int thread = static_cast<int>(threadIdx.x), group = static_cast<int>(blockIdx.z);
  const int x = thread % 16, y = thread / 16;
  const int first_m = static_cast<int>(blockIdx.x) * kVectorTile, first_n = static_cast<int>(blockIdx.y) * kVectorTile;
  const int row = thread / 2, column = thread % 2 * 4;  // what this thread fetches
  const WindowPlace window(map, first_m + row);
  float sums[8][8] = {};
  for (int k = 0; k < map.depth; k += kVectorDepth) {
    const float4 of_x = four_at<vectors>(k + column, [&](int at) { return source_at(map, window, group, at); });
    const float4 of_w = four_at<vectors>(k + column, [&](int at) { return weight_at(map, group, first_n + row, at); });
    a[column][row] = of_x.x;
    a[column + 1][row] = of_x.y;
    a[column + 2][row] = of_x.z;
    a[column + 3][row] = of_x.w;
    b[column][row] = of_w.x;
    b[column + 1][row] = of_w.y;
    b[column + 2][row] = of_w.z;
    b[column + 3][row] = of_w.w;
    __syncthreads();
#pragma unroll
    for (int at = 0; at < kVectorDepth; ++at) {
      float of_a[8], of_b[8];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 from_a = load4(&a[at][half * kVectorHalf + 4 * y]);
        const float4 from_b = load4(&b[at][half * kVectorHalf + 4 * x]);
        of_a[4 * half] = from_a.x;
        of_a[4 * half + 1] = from_a.y;
        of_a[4 * half + 2] = from_a.z;
        of_a[4 * half + 3] = from_a.w;
        of_b[4 * half] = from_b.x;
        of_b[4 * half + 1] = from_b.y;
        of_b[4 * half + 2] = from_b.z;
        of_b[4 * half + 3] = from_b.w;
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[i][j] += of_a[i] * of_b[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      store_sum(map, group, first_m + i / 4 * kVectorHalf + 4 * y + i % 4,
                first_n + j / 4 * kVectorHalf + 4 * x + j % 4, sums[i][j]);
    }
  }
}

inline void convolve_in_vectors(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(in_vectors(map) ? multiply_vectors<true> : multiply_vectors<false>, tile_grid(map, kVectorTile, kVectorTile),
           kVectorThreads, 0, context, map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
