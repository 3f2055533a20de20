// Version 3: tiles in registers. A block makes 64 x 64 outputs, a thread 4 x 4 of them: at each k it reads 4 + 4 values
// from shared memory for 16 multiply-adds, half a read each, and x and the weights are fetched a quarter as often.
#pragma once

#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kRegisterSide = 16, kRegisterSums = 4, kRegisterTile = kRegisterSide * kRegisterSums;
inline constexpr int kRegisterDepth = 16;

static __global__ void __launch_bounds__(kRegisterSide* kRegisterSide) multiply_in_registers(const Map map) {
  SHARED(a, float[kRegisterTile][kRegisterDepth + 1]);
  SHARED(b, float[kRegisterTile][kRegisterDepth + 1]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), group = static_cast<int>(blockIdx.z);
  const int first_m = static_cast<int>(blockIdx.x) * kRegisterTile;
  const int first_n = static_cast<int>(blockIdx.y) * kRegisterTile;
  float sums[kRegisterSums][kRegisterSums] = {};
  for (int k = 0; k < map.depth; k += kRegisterDepth) {
#pragma unroll
    for (int i = 0; i < kRegisterSums; ++i) {
      const int row = y + i * kRegisterSide;
      a[row][x] = value_at(source_at(map, WindowPlace(map, first_m + row), group, k + x));
      b[row][x] = value_at(weight_at(map, group, first_n + row, k + x));
    }
    __syncthreads();
#pragma unroll
    for (int at = 0; at < kRegisterDepth; ++at) {
      float of_a[kRegisterSums], of_b[kRegisterSums];
#pragma unroll
      for (int i = 0; i < kRegisterSums; ++i) {
        of_a[i] = a[y + i * kRegisterSide][at];
        of_b[i] = b[x + i * kRegisterSide][at];
      }
#pragma unroll
      for (int i = 0; i < kRegisterSums; ++i) {
#pragma unroll
        for (int j = 0; j < kRegisterSums; ++j) sums[i][j] += of_a[i] * of_b[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kRegisterSums; ++i) {
#pragma unroll
    for (int j = 0; j < kRegisterSums; ++j) {
      store_sum(map, group, first_m + y + i * kRegisterSide, first_n + x + j * kRegisterSide, sums[i][j]);
    }
  }
}

inline void convolve_in_registers(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(multiply_in_registers, tile_grid(map, kRegisterTile, kRegisterTile), dim3(kRegisterSide, kRegisterSide), 0,
           context, map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
