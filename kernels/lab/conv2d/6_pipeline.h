// Version 6: a ring of four stages, filled by cp.async three steps ahead of the tensor cores, one barrier a step. The
// copies pass no register, so a block makes 128 x 64 outputs; the stages have no room for padded rows, and chunk c of
// row r lies at place c ^ (r / 2 mod 4) instead (conv2d_product.h, whose product of a warp is used here). Values come
// to shared memory as they are and are rounded when fragments are built. What the shipped kernel does beyond: it finds
// its place in the window without a division, takes all maps of a call in one launch, splits long depths over blocks,
// writes two channels at once, and reads 16-bit copies for bf16 and fp16.
#pragma once

#include "kernels/cuda/conv2d_product.h"
#include "kernels/cuda/copy_pipeline.h"
#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kPipelineM = 128, kPipelineN = 64, kPipelineThreads = 128, kPipelineStages = 4;
inline constexpr int kPipelineDepth = kTileRowBytes / 4,
                     kPipelineStageBytes = (kPipelineM + kPipelineN) * kTileRowBytes;

template <bool vectors>
static __global__ void __launch_bounds__(kPipelineThreads) multiply_in_pipeline(const Map map) {
  char* const stages = dynamic_shared<char>();
  const int thread = static_cast<int>(threadIdx.x), chunk = thread % kChunksPerRow, warp_m = thread / 32 * 32;
  const int group = static_cast<int>(blockIdx.z);
  const int first_m = static_cast<int>(blockIdx.x) * kPipelineM, first_n = static_cast<int>(blockIdx.y) * kPipelineN;
  int k = chunk * 4;  // of the next fetch
  const auto copy = [&](char* to, const auto& address) {
    if constexpr (vectors) {
      const float* from = address(k);
      copy_async<16>(to, from != nullptr ? from : map.x, from != nullptr);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* from = address(k + i);
        copy_async<4>(to + 4 * i, from != nullptr ? from : map.x, from != nullptr);
      }
    }
  };
  const auto fetch = [&](int stage) {
    char* const to = stages + stage * kPipelineStageBytes;
#pragma unroll
    for (int row = thread / kChunksPerRow; row < kPipelineM; row += kPipelineThreads / kChunksPerRow) {
      const WindowPlace window(map, first_m + row);
      copy(to + chunk_place(row, chunk), [&](int at) { return source_at(map, window, group, at); });
    }
#pragma unroll
    for (int row = thread / kChunksPerRow; row < kPipelineN; row += kPipelineThreads / kChunksPerRow) {
      copy(to + chunk_place(kPipelineM + row, chunk), [&](int at) { return weight_at(map, group, first_n + row, at); });
    }
    k += kPipelineDepth;
  };
  DepthProduct<ConvMath::tf32, 32, kPipelineN> product;
  copy_pipeline<kPipelineStages>(ceil_div(map.depth, kPipelineDepth), fetch, [&](int stage) {
    const char* from = stages + stage * kPipelineStageBytes;
    product.accumulate(from + warp_m * kTileRowBytes, from + kPipelineM * kTileRowBytes);
  });
  product.visit([](int n) { return n; },
                [&](int m, int n, int, float first, float second) {
                  store_sum(map, group, first_m + warp_m + m, first_n + n, first);
                  store_sum(map, group, first_m + warp_m + m, first_n + n + 1, second);
                });
}

inline void convolve_in_pipeline(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(in_vectors(map) ? multiply_in_pipeline<true> : multiply_in_pipeline<false>,
           tile_grid(map, kPipelineM, kPipelineN), kPipelineThreads, size_t{kPipelineStages} * kPipelineStageBytes,
           context, map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
