// Losses of mask logits [M, P] against bit-packed targets: how their kernels divide the work. A block of 256 threads
// owns a chunk of 4096 pixels of one mask; thread t the pixels t, t + 256, ... of it, so a warp reads consecutive
// logits and one word of the target.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kMaskThreads = 256;
inline constexpr int64_t kMaskChunk = 4096;

// One-dimensional grid of masks * mask_chunks(pixels) blocks.
__host__ __device__ inline int64_t mask_chunks(int64_t pixels) { return ceil_div(pixels, kMaskChunk); }

// Calls body(i, q) for the pixels of this thread: i the place in [M, P], q the target there, 0 or 1.
template <typename Body>
__device__ __forceinline__ void for_each_mask_pixel(const int32_t* targets, const int32_t* index, int64_t pixels,
                                                    Body&& body) {
  const int64_t chunks = mask_chunks(pixels), mask = blockIdx.x / chunks;
  const int64_t begin = blockIdx.x % chunks * kMaskChunk;
  const int64_t end = begin + kMaskChunk < pixels ? begin + kMaskChunk : pixels;
  const int32_t* words = targets + index[mask] * ceil_div<int64_t>(pixels, 32);
  for (int64_t p = begin + threadIdx.x; p < end; p += kMaskThreads) {
    const unsigned bit = static_cast<unsigned>(words[p / 32]) >> (p % 32) & 1u;
    body(mask * pixels + p, static_cast<float>(bit));
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
