#include "kernels/block_pool.h"

#include <algorithm>
#include <utility>

#include "kernels/launch_graph.h"

namespace tessera {

BlockPool::BlockPool(std::shared_ptr<Allocator> source, const char* name) : source_(std::move(source)), name_(name) {}

BlockPool::~BlockPool() {
  for (const auto& [size, blocks] : kept_) {
    for (void* block : blocks) source_->release(block, size, name_);
  }
}

void BlockPool::freeze(bool frozen) {
  const std::lock_guard lock(mutex_);
  frozen_ = frozen;
}

size_t BlockPool::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

size_t BlockPool::block_size(size_t bytes) {
  constexpr size_t kStep = 512;
  return std::max<size_t>(1, (bytes + kStep - 1) / kStep) * kStep;
}

void* BlockPool::take(size_t bytes) {
  const size_t size = block_size(bytes);
  const std::lock_guard lock(mutex_);
  if (const auto found = kept_.find(size); found != kept_.end() && !found->second.empty()) {
    void* block = found->second.back();
    found->second.pop_back();
    return block;
  }
  if (frozen_) throw CaptureRefused(std::to_string(bytes) + " bytes more than the direct run took are asked for");
  void* block = source_->allocate(size, name_);
  bytes_ += size;
  return block;
}

void BlockPool::give_back(void* block, size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  kept_[block_size(bytes)].push_back(block);
}

}  // namespace tessera
