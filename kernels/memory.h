// Moving and clearing bytes on a device.
#pragma once

#include <cstddef>

#include "kernels/context.h"

namespace tessera {

void memory_zero(CpuContext& context, void* destination, size_t bytes);
void memory_copy(CpuContext& context, void* destination, const void* source, size_t bytes);  // no overlap
void memory_from_host(CpuContext& context, void* destination, const void* source, size_t bytes);
void memory_to_host(CpuContext& context, void* destination, const void* source, size_t bytes);  // returns when done

}  // namespace tessera
