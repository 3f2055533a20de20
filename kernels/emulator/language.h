// CUDA C++ as the host compiler understands it: what nvcc builds in, in the names of CUDA. Included by the port header
// (kernels/cuda/port.h) of emulated builds; nothing of NVIDIA's is needed.
#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/context.h"
#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/executor.h"
#include "kernels/emulator/float16.h"
#include "kernels/emulator/intrinsics.h"
#include "kernels/emulator/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

// The place in the kernel, as default arguments: diagnoses of the emulator say it.
#define TESSERA_HERE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()

#define TESSERA_PLACE , TESSERA_HERE
#define TESSERA_PASS_PLACE , file_, line_

namespace tessera {
inline namespace emulated_port {

// Real variables, so a debugger prints them; rewritten at every switch of threads.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

inline void __syncthreads(TESSERA_HERE) { emulator::block_barrier(file_, line_); }
inline int __syncthreads_count(int predicate, TESSERA_HERE) {
  return emulator::block_barrier_count(predicate != 0, file_, line_);
}
inline int __syncthreads_or(int predicate, TESSERA_HERE) {
  return emulator::block_barrier_count(predicate != 0, file_, line_) != 0;
}
inline int __syncthreads_and(int predicate, TESSERA_HERE) {
  return emulator::block_barrier_count(predicate == 0, file_, line_) == 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, TESSERA_HERE) {
  emulator::warp_collective(mask, emulator::WarpOperation::synchronise, nullptr, &emulator::finish_nothing, file_,
                            line_);
}

// The lanes of the mask whose predicate is not zero.
inline unsigned vote(unsigned mask, int predicate, emulator::WarpOperation operation, const char* file, int line) {
  emulator::VoteArguments arguments{predicate != 0, 0};
  emulator::warp_collective(mask, operation, &arguments, &emulator::finish_vote, file, line);
  return arguments.ballot;
}
inline unsigned __ballot_sync(unsigned mask, int predicate, TESSERA_HERE) {
  return vote(mask, predicate, emulator::WarpOperation::ballot, file_, line_);
}
inline int __any_sync(unsigned mask, int predicate, TESSERA_HERE) {
  return vote(mask, predicate, emulator::WarpOperation::any, file_, line_) != 0;
}
inline int __all_sync(unsigned mask, int predicate, TESSERA_HERE) {
  return vote(mask, predicate, emulator::WarpOperation::all, file_, line_) == mask;
}

// The value of lane `source` of the warp; T of 4 or 8 bytes.
template <typename T>
T shuffle_from(unsigned mask, const T& value, int source, emulator::WarpOperation operation, const char* file,
               int line) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  static_assert(std::is_trivially_copyable_v<T>);
  T result;
  emulator::ShuffleArguments arguments{&value, &result, source};
  emulator::warp_collective(mask, operation, &arguments, &emulator::finish_shuffle<sizeof(T)>, file, line);
  return result;
}

// Segments of `width` lanes shuffle among themselves; a lane that would reach out of its segment keeps its value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TESSERA_HERE) {
  const int lane = static_cast<int>(emulator::lane());
  return shuffle_from(mask, value, lane / width * width + (source & (width - 1)), emulator::WarpOperation::shuffle,
                      file_, line_);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, TESSERA_HERE) {
  const int lane = static_cast<int>(emulator::lane()), other = lane ^ lanes;
  return shuffle_from(mask, value, other < (lane / width + 1) * width ? other : lane,
                      emulator::WarpOperation::shuffle_xor, file_, line_);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32, TESSERA_HERE) {
  const int lane = static_cast<int>(emulator::lane()), other = lane + static_cast<int>(lanes);
  return shuffle_from(mask, value, other < (lane / width + 1) * width ? other : lane,
                      emulator::WarpOperation::shuffle_down, file_, line_);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32, TESSERA_HERE) {
  const int lane = static_cast<int>(emulator::lane()), other = lane - static_cast<int>(lanes);
  return shuffle_from(mask, value, other >= lane / width * width ? other : lane, emulator::WarpOperation::shuffle_up,
                      file_, line_);
}

// A block's array, which is not a number until it is written.
#define SHARED(name, ...)                                                                          \
  static const char name##_key = 0;                                                                \
  auto& name = *static_cast<std::type_identity_t<__VA_ARGS__>*>(::tessera::emulator::shared_array( \
      &name##_key, sizeof(__VA_ARGS__), alignof(std::remove_all_extents_t<__VA_ARGS__>), __FILE__, __LINE__))

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(emulator::dynamic_shared_memory());
}

inline void check_vector_address(const void* address, const char* file, int line) {
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0) emulator::check_aligned(address, 16, "four floats", file, line);
}

inline void grid_sync(TESSERA_HERE) { emulator::grid_barrier(file_, line_); }

using DeviceContext = EmulatedContext;

// The context of a launch and its place in the source.
struct LaunchSite {
  DeviceContext& context;
  const char* file;
  int line;
  LaunchSite(DeviceContext& context_, TESSERA_HERE) : context(context_), file(file_), line(line_) {}
};

// Of the parameters of a kernel, each at a multiple of its alignment as CUDA lays them out.
template <typename... Parameters>
constexpr size_t parameter_bytes() {
  size_t bytes = 0;
  ((bytes = (bytes + alignof(Parameters) - 1) / alignof(Parameters) * alignof(Parameters) + sizeof(Parameters)), ...);
  return bytes;
}

template <typename... Parameters, typename... Arguments>
void launch_emulated(bool cooperative, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                     const LaunchSite& site, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<std::decay_t<Parameters>...> arguments;
  };
  // On the heap, because the launch may be recorded.
  std::shared_ptr<Call> call(new Call{kernel, {static_cast<Parameters>(arguments)...}});
  const auto run_thread = [](void* data) {
    const Call& of_thread = *static_cast<const Call*>(data);
    std::apply(of_thread.kernel, of_thread.arguments);
  };
  site.context.executor().launch(
      {grid, block, shared_bytes, parameter_bytes<std::decay_t<Parameters>...>(), cooperative, site.file, site.line},
      run_thread, std::move(call));
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, LaunchSite site,
            Arguments&&... arguments) {
  launch_emulated(false, kernel, grid, block, shared_bytes, site, std::forward<Arguments>(arguments)...);
}

template <typename... Parameters, typename... Arguments>
void launch_cooperative(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, LaunchSite site,
                        Arguments&&... arguments) {
  launch_emulated(true, kernel, grid, block, shared_bytes, site, std::forward<Arguments>(arguments)...);
}

}  // namespace emulated_port
}  // namespace tessera
