// The port layer of builds by nvcc: what kernels/emulator/language.h is for the host compiler.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

#include "kernels/context.h"
#include "kernels/device_failure.h"

// Places in a kernel are told to the emulator only.
#define TESSERA_PLACE
#define TESSERA_PASS_PLACE

namespace tessera {
inline namespace cuda_port {

using DeviceContext = CudaContext;
using half = __half;
using bfloat16 = __nv_bfloat16;

__host__ __device__ inline float to_float(float value) { return value; }
__host__ __device__ inline float to_float(half value) { return __half2float(value); }
__host__ __device__ inline float to_float(bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__host__ __device__ inline T from_float(float value) {
  if constexpr (std::is_same_v<T, half>) {
    return __float2half_rn(value);
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

// A block's array. 16 bytes aligned, for load4 and asynchronous copies.
template <typename T>
using SharedType = T;
#define SHARED(name, ...) __shared__ __align__(16)::tessera::SharedType<__VA_ARGS__> name

template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char tessera_dynamic_shared[];
  return reinterpret_cast<T*>(tessera_dynamic_shared);
}

__device__ __forceinline__ void check_vector_address(const void*) {}

// The context of a launch and its place in the source.
struct LaunchSite {
  DeviceContext& context;
  const char* file;
  int line;
  LaunchSite(DeviceContext& context_, const char* file_ = __builtin_FILE(), int line_ = __builtin_LINE())
      : context(context_), file(file_), line(line_) {}
};

inline void check_launch(cudaError_t error, const LaunchSite& site) {
  if (error == cudaSuccess) return;
  throw_cuda_failure("launch at " + std::string(site.file) + ":" + std::to_string(site.line),
                     cudaGetErrorString(error));
}

// More than 48 KiB of dynamic shared memory must be asked for.
inline void allow_shared_bytes(const void* kernel, size_t shared_bytes, const LaunchSite& site) {
  if (shared_bytes <= size_t{48} << 10) return;
  check_launch(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)), site);
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, LaunchSite site,
            Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_launch(cudaSetDevice(site.context.index()), site);  // of this thread of the host
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shared_bytes, site);
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(site.context.stream())>>>(
      static_cast<Parameters>(arguments)...);
  check_launch(cudaGetLastError(), site);
}

// All blocks at once, so that grid_sync() can wait for them; refused when they do not fit the GPU together.
template <typename... Parameters, typename... Arguments>
void launch_cooperative(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, LaunchSite site,
                        Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_launch(cudaSetDevice(site.context.index()), site);
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shared_bytes, site);
  std::tuple<std::decay_t<Parameters>...> values{static_cast<Parameters>(arguments)...};
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {static_cast<void*>(&value)..., nullptr};
        check_launch(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                                                 shared_bytes, static_cast<cudaStream_t>(site.context.stream())),
                     site);
      },
      values);
}

}  // namespace cuda_port
}  // namespace tessera
