// Version 2: tiles in shared memory. A block makes 16 x 16 outputs, a thread one; 16 values of the depth at a time come
// to shared memory, each fetched once for 16 outputs, along the depth, so that a warp reads whole pieces of lines. A
// multiply-add still reads two values from shared memory. Rows of 17 floats: a column of the tile lies in 16 banks.
#pragma once

#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kSharedTile = 16;

static __global__ void __launch_bounds__(kSharedTile* kSharedTile) multiply_shared_tiles(const Map map) {
  SHARED(a, float[kSharedTile][kSharedTile + 1]);
  SHARED(b, float[kSharedTile][kSharedTile + 1]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), group = static_cast<int>(blockIdx.z);
  const int first_m = static_cast<int>(blockIdx.x) * kSharedTile, first_n = static_cast<int>(blockIdx.y) * kSharedTile;
  const WindowPlace window(map, first_m + y);
  float sum = 0.0f;
  for (int k = 0; k < map.depth; k += kSharedTile) {
    a[y][x] = value_at(source_at(map, window, group, k + x));
    b[y][x] = value_at(weight_at(map, group, first_n + y, k + x));
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSharedTile; ++i) sum += a[y][i] * b[x][i];
    __syncthreads();  // before the next tile overwrites this one
  }
  store_sum(map, group, first_m + y, first_n + x, sum);
}

inline void convolve_in_shared_tiles(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(multiply_shared_tiles, tile_grid(map, kSharedTile, kSharedTile), dim3(kSharedTile, kSharedTile), 0, context,
           map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
