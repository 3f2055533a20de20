// Moving and clearing bytes on a device.
#pragma once

#include <cstddef>

#include "kernels/context.h"

namespace tessera {

// Each for every backend; the order of calls on one context is kept. `memory_from_host` returns when the source may be
// overwritten, `memory_to_host` when the destination holds the bytes. Copies must not overlap.
#define TESSERA_MEMORY(Context)                                                                 \
  void memory_zero(Context& context, void* destination, size_t bytes);                          \
  void memory_copy(Context& context, void* destination, const void* source, size_t bytes);      \
  void memory_from_host(Context& context, void* destination, const void* source, size_t bytes); \
  void memory_to_host(Context& context, void* destination, const void* source, size_t bytes)
TESSERA_MEMORY(CpuContext);
TESSERA_MEMORY(CudaContext);
TESSERA_MEMORY(EmulatedContext);
#undef TESSERA_MEMORY

}  // namespace tessera
