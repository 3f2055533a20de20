// Sums and maxima of a warp and of a block, in a fixed order: the same bits in every run.
// All 32 lanes of a warp, and for block_* all threads of the block, must call; blocks are whole warps.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr unsigned kWholeWarp = 0xffffffffu;

__device__ __forceinline__ int thread_of_block() {
  return static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
}
__device__ __forceinline__ int threads_of_block() { return static_cast<int>(blockDim.x * blockDim.y * blockDim.z); }
__device__ __forceinline__ int lane_of_warp() { return thread_of_block() & 31; }
__device__ __forceinline__ int warp_of_block() { return thread_of_block() >> 5; }

struct SumOf {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct MaximumOf {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
struct MinimumOf {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

// Combines the values of the warp; every lane gets the result. T of 4 or 8 bytes. combine must be symmetric.
template <typename T, typename Combine>
__device__ __forceinline__ T warp_reduce(T value, Combine combine) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kWholeWarp, value, distance));
  }
  return value;
}

template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, SumOf{});
}
template <typename T>
__device__ __forceinline__ T warp_max(T value) {
  return warp_reduce(value, MaximumOf{});
}
template <typename T>
__device__ __forceinline__ T warp_min(T value) {
  return warp_reduce(value, MinimumOf{});
}

// The same over the block; `neutral` changes nothing (0 of a sum). Has a barrier before and after its use of shared
// memory, so it may be called again at once, and it is itself a barrier.
template <typename T, typename Combine>
__device__ T block_reduce(T value, T neutral, Combine combine) {
  SHARED(partial, T[32]);
  const int lane = lane_of_warp(), warp = warp_of_block(), warps = threads_of_block() / 32;
  value = warp_reduce(value, combine);
  __syncthreads();
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return warp_reduce(lane < warps ? partial[lane] : neutral, combine);
}

template <typename T>
__device__ T block_sum(T value) {
  return block_reduce(value, T(0), SumOf{});
}

}  // namespace TESSERA_PORT
}  // namespace tessera
