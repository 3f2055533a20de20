// Work on arrays of rows of C channels: lanes along the channels, so a warp reads consecutive addresses, and several
// rows per block where rows are short. Four channels per thread (`float4`) where C and the addresses allow it.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kRowThreads = 256;

// Block: x along the channels (vectors of them), y along the rows. Lanes are a power of two, so threads of a warp that
// idle are fewer than half.
inline dim3 row_block(int64_t vectors) {
  unsigned lanes = 1;
  while (lanes < vectors && lanes < kRowThreads) lanes *= 2;
  return {lanes, kRowThreads / lanes, 1};
}

// Blocks in x for `rows` rows, one row per thread row; kernels stride over what is left.
inline unsigned row_grid(int64_t rows, dim3 block) {
  constexpr int64_t kMostBlocks = 1 << 16;
  const int64_t blocks = ceil_div<int64_t>(rows, block.y);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

// Calls body(row, vector) for every row of this thread's and every vector of channels of its lane.
template <typename Body>
__device__ __forceinline__ void for_each_row_vector(int64_t rows, int64_t vectors, Body&& body) {
  for (int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows; row += int64_t{gridDim.x} * blockDim.y)
    for (int64_t v = threadIdx.x; v < vectors; v += blockDim.x) body(row, v);
}

// One channel or four: the same kernel text for both.
template <int width>
struct Channels;

template <>
struct Channels<1> {
  float x;
  __device__ static Channels load(const float* address) { return {*address}; }
  __device__ static Channels filled(float value) { return {value}; }
  __device__ void store(float* address) const { *address = x; }
  template <typename Op, typename... Others>
  __device__ static Channels map(Op&& op, const Others&... other) {
    return {op(other.x...)};
  }
};

template <>
struct Channels<4> {
  float x, y, z, w;
  __device__ static Channels load(const float* address) {
    const float4 v = load4(address);
    return {v.x, v.y, v.z, v.w};
  }
  __device__ static Channels filled(float value) { return {value, value, value, value}; }
  __device__ void store(float* address) const { store4(address, make_float4(x, y, z, w)); }
  template <typename Op, typename... Others>
  __device__ static Channels map(Op&& op, const Others&... other) {
    return {op(other.x...), op(other.y...), op(other.z...), op(other.w...)};
  }
};

}  // namespace TESSERA_PORT
}  // namespace tessera
