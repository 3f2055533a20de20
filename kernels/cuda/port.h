// What a CUDA kernel file includes, and all it includes beside its own kernels/<op>.h. The same source is compiled by
// nvcc for CudaContext and by the host compiler for EmulatedContext, where it runs, and is tested, without a GPU.
//
//     namespace tessera {
//     namespace {
//     __global__ void relu_kernel(const float* x, float* y, int64_t count) { ... }
//     }
//     void relu_forward(DeviceContext& context, const ReluForwardArgs& args) {
//       launch(relu_kernel, grid_for(args.count, 256), 256, 0, context, args.x, args.y, args.count);
//     }
//     }
//
// Both builds have, in CUDA's own names: threadIdx and its like, __syncthreads, the shuffles and votes, integer
// atomics, the bit functions; and from the port:
//     SHARED(name, float[32][33])      a block's array; not a number until written
//     dynamic_shared<T>()              the bytes asked for at the launch, 128-byte aligned
//     launch(kernel<...>, grid, block, shared_bytes, context, arguments...)   nothing when the grid is empty; throws
//     half, bfloat16, to_float(x), from_float<half>(x)
//     load4, store4, ceil_div, grid_for, for_each_element, DeviceArray
// Rules for authors: docs/kernels/writing_kernels.md.
#pragma once

#include <cstdint>

#include "kernels/constant_tables.h"
#include "kernels/context.h"
#include "kernels/memory.h"

#if defined(__CUDACC__)
#include "kernels/cuda/language.h"
#define TESSERA_PORT cuda_port
#else
#include "kernels/emulator/language.h"
#define TESSERA_PORT emulated_port
#endif

namespace tessera {
inline namespace TESSERA_PORT {

template <typename T>
__host__ __device__ constexpr T ceil_div(T value, std::type_identity_t<T> divisor) {
  return (value + divisor - 1) / divisor;
}

// Blocks of `threads` for `count` items, one thread each, but no more than fill any GPU: kernels stride over the rest
// with for_each_element.
inline unsigned grid_for(int64_t count, int threads) {
  constexpr int64_t kMostBlocks = 1 << 14;
  const int64_t blocks = ceil_div<int64_t>(count, threads);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

// Calls body(i) for the elements of this thread: i, i + all threads of the grid, ... below count. One-dimensional.
template <typename Body>
__device__ __forceinline__ void for_each_element(int64_t count, Body&& body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// Four floats at once; the address must be a multiple of 16 bytes.
__device__ __forceinline__ float4 load4(const float* address TESSERA_PLACE) {
  check_vector_address(address TESSERA_PASS_PLACE);
  return *reinterpret_cast<const float4*>(address);
}
__device__ __forceinline__ void store4(float* address, float4 value TESSERA_PLACE) {
  check_vector_address(address TESSERA_PASS_PLACE);
  *reinterpret_cast<float4*>(address) = value;
}

// Whether load4 and store4 may be used on all of these, with rows of `stride` floats.
template <typename... Pointers>
bool aligned4(int64_t stride, const Pointers*... pointers) {
  return stride % 4 == 0 && ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

// A small array of the host (args marked "host memory"), on the device for the kernels launched while this lives;
// uploaded the first time that a context meets its contents.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(DeviceContext& context, const T* values, int64_t count)
      : memory_(context.constant_tables().find(context, values, static_cast<size_t>(count) * sizeof(T))) {}
  const T* data() const { return static_cast<const T*>(memory_.get()); }

 private:
  TableMemory memory_;
};

}  // namespace TESSERA_PORT
}  // namespace tessera
