#include <cstring>

#include "kernels/context.h"
#include "kernels/emulator/executor.h"
#include "kernels/memory.h"

namespace tessera {

EmulatedContext::EmulatedContext(const EmulatorSchedule& schedule, std::shared_ptr<Allocator> allocator)
    : Context(Backend::emulated, std::move(allocator)),
      executor_(std::make_unique<emulator::Executor>(
          schedule, dynamic_cast<emulator::MemoryGate*>(Context::allocator().get()))) {}

EmulatedContext::~EmulatedContext() = default;

void memory_zero(EmulatedContext& context, void* destination, size_t bytes) {
  const emulator::OpenMemory open(context.executor().gate());
  if (bytes > 0) std::memset(destination, 0, bytes);
}

void memory_copy(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  const emulator::OpenMemory open(context.executor().gate());
  if (bytes > 0) std::memcpy(destination, source, bytes);
}

void memory_from_host(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  memory_copy(context, destination, source, bytes);
}

void memory_to_host(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  memory_copy(context, destination, source, bytes);
}

}  // namespace tessera
