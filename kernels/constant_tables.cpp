#include "kernels/constant_tables.h"

namespace tessera {

std::shared_ptr<void> ConstantTables::allocate(Context& context, size_t bytes) {
  if (bytes_ + bytes > kMostBytes) {
    std::erase_if(tables_, [](const auto& entry) { return entry.second.use_count() == 1; });
    bytes_ = 0;
    for (const auto& [key, memory] : tables_) bytes_ += key.size();
  }
  bytes_ += bytes;
  std::shared_ptr<Allocator> allocator = context.lasting_allocator();
  void* memory = allocator->allocate(bytes, "tables");
  return {memory, [allocator, bytes](void* block) { allocator->release(block, bytes, "tables"); }};
}

}  // namespace tessera
