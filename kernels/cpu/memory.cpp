#include "kernels/memory.h"

#include <cstring>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {
constexpr int64_t kGrain = int64_t{1} << 20;
}

void memory_zero(CpuContext& context, void* destination, size_t bytes) {
  parallel_for(context, static_cast<int64_t>(bytes), kGrain, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(destination) + begin, 0, static_cast<size_t>(end - begin));
  });
}

void memory_copy(CpuContext& context, void* destination, const void* source, size_t bytes) {
  parallel_for(context, static_cast<int64_t>(bytes), kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(destination) + begin, static_cast<const char*>(source) + begin,
                static_cast<size_t>(end - begin));
  });
}

void memory_from_host(CpuContext& context, void* destination, const void* source, size_t bytes) {
  memory_copy(context, destination, source, bytes);
}

void memory_to_host(CpuContext& context, void* destination, const void* source, size_t bytes) {
  memory_copy(context, destination, source, bytes);
}

void memory_upload(CpuContext& context, void* destination, const void* staged, size_t bytes) {
  memory_copy(context, destination, staged, bytes);
}

void memory_download(CpuContext& context, void* staged, const void* source, size_t bytes) {
  memory_copy(context, staged, source, bytes);
}

void memory_wait(CpuContext&) {}

}  // namespace tessera
