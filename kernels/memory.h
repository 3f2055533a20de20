// Moving and clearing bytes on a device.
#pragma once

#include <cstddef>

#include "kernels/context.h"

namespace tessera {

// Each for every backend; the order of calls on one context is kept. `memory_from_host` returns when the source may be
// overwritten, `memory_to_host` when the destination holds the bytes. Copies must not overlap.
// `memory_upload` and `memory_download` move staged memory (kernels/staging.h) without a wait, on a stream of their own
// where there is one, after what was launched before. What is launched after an upload finds its bytes. The staged side
// of both, and the source of a download, must stay as they are until `memory_wait`, which waits for all of them.
#define TESSERA_MEMORY(Context)                                                                 \
  void memory_zero(Context& context, void* destination, size_t bytes);                          \
  void memory_copy(Context& context, void* destination, const void* source, size_t bytes);      \
  void memory_from_host(Context& context, void* destination, const void* source, size_t bytes); \
  void memory_to_host(Context& context, void* destination, const void* source, size_t bytes);   \
  void memory_upload(Context& context, void* destination, const void* staged, size_t bytes);    \
  void memory_download(Context& context, void* staged, const void* source, size_t bytes);       \
  void memory_wait(Context& context)
TESSERA_MEMORY(CpuContext);
TESSERA_MEMORY(CudaContext);
TESSERA_MEMORY(EmulatedContext);
#undef TESSERA_MEMORY

}  // namespace tessera
