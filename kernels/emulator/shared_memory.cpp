#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

namespace {

constexpr size_t kMostStaticBytes = 48 << 10;
constexpr size_t kMostBytes = 99 << 10;
constexpr int kPoison = 0xff;  // not a number in every floating point type
constexpr unsigned char kGuard = 0xa5;

// AddressSanitizer watches the ends of an allocation itself.
size_t guard_bytes(size_t alignment) { return kAddressSanitizer ? 0 : std::max<size_t>(alignment, 128); }

}  // namespace

SharedArray new_shared_array(const void* key, size_t bytes, size_t alignment, const char* file, int line) {
  const size_t align = std::max<size_t>(alignment, 16);
  const size_t guard = guard_bytes(align);
  void* memory = nullptr;
  if (posix_memalign(&memory, align, std::max<size_t>(bytes, 1) + 2 * guard) != 0) throw std::bad_alloc();
  SharedArray array{key, static_cast<char*>(memory), bytes, guard, file, line};
  std::memset(array.memory, kGuard, guard);
  std::memset(array.data(), kPoison, bytes);
  std::memset(array.data() + bytes, kGuard, guard);
  return array;
}

void free_shared_arrays(Block& block) {
  for (const SharedArray& array : block.shared) std::free(array.memory);
  block.shared.clear();
}

void check_shared_guards(Execution& execution, const Block& block) {
  for (const SharedArray& array : block.shared) {
    const auto intact = [&](const char* guard) {
      return std::all_of(guard, guard + array.guard,
                         [](char byte) { return static_cast<unsigned char>(byte) == kGuard; });
    };
    const bool before = intact(array.memory), after = intact(array.data() + array.bytes);
    if (before && after) continue;
    execution.error = std::string(array.file) + ":" + std::to_string(array.line) + ": block (" +
                      std::to_string(block.index.x) + ", " + std::to_string(block.index.y) + ", " +
                      std::to_string(block.index.z) + ") wrote " + (before ? "behind" : "in front of") +
                      (array.key == nullptr ? " its dynamic shared memory of " : " this shared array of ") +
                      std::to_string(array.bytes) + " bytes";
    return;
  }
}

namespace {

// Null when the block would have too much shared memory.
void* add_shared_array(Execution& execution, Block& block, const void* key, size_t bytes, size_t alignment,
                       const char* file, int line) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  block.static_shared_bytes += (bytes + 15) / 16 * 16;
  const size_t all_bytes = block.static_shared_bytes + execution.shape.shared_bytes;
  if (block.static_shared_bytes > kMostStaticBytes) {
    report_failure(std::to_string(block.static_shared_bytes) + " bytes of SHARED arrays, a block may have 49152", file,
                   line);
    return nullptr;
  }
  if (all_bytes > kMostBytes) {
    report_failure(std::to_string(all_bytes) + " bytes of shared memory, a block may have 101376", file, line);
    return nullptr;
  }
  if (execution.shape.cooperative) {
    const std::string reason = why_not_resident(execution.shape, all_bytes);
    if (!reason.empty()) {
      report_failure(reason, file, line);
      return nullptr;
    }
  }
  block.shared.push_back(new_shared_array(key, bytes, alignment, file, line));
  return block.shared.back().data();
}

}  // namespace

void* shared_array(const void* key, size_t bytes, size_t alignment, const char* file, int line) {
  Execution& execution = *current_execution;
  Block& block = *execution.running->block;
  for (const SharedArray& array : block.shared) {
    if (array.key == key) return array.data();
  }
  void* added = add_shared_array(execution, block, key, bytes, alignment, file, line);
  if (added == nullptr) abandon_launch();
  return added;
}

void* dynamic_shared_memory() {
  for (const SharedArray& array : current_execution->running->block->shared) {
    if (array.key == nullptr) return array.data();
  }
  return nullptr;
}

}  // namespace tessera::emulator
