// Asynchronous copies from global to shared memory (cp.async, compute capability 8.0). A thread issues copies, closes
// them into a group with copy_async_commit, and waits until at most so many of its groups are under way; then its own
// copies are in place, those of other threads after the next __syncthreads. Until the wait nobody reads the
// destination, and nobody still reads what was there before.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

// bytes: 4, 8 or 16; both addresses are multiples of it. Where not `valid`, zeros are written and the source is not
// read (it must still be a multiple). 16-byte copies stay out of the first-level cache.
#if defined(__CUDACC__)

template <int bytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool valid = true) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(bytes),
                 "r"(valid ? bytes : 0)
                 : "memory");
  }
}

__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int groups_left>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

#else

template <int bytes>
void copy_async(void* shared, const void* global, bool valid = true, TESSERA_HERE) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  emulator::copy_async(shared, global, bytes, valid ? bytes : 0, file_, line_);
}

inline void copy_async_commit() { emulator::copy_async_commit(); }

template <int groups_left>
void copy_async_wait() {
  emulator::copy_async_wait(groups_left);
}

#endif

}  // namespace TESSERA_PORT
}  // namespace tessera
