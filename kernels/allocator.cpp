#include "kernels/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <new>
#include <unordered_map>

namespace tessera {

void* Allocator::allocate(size_t bytes, const char* name) {
  void* block = take(bytes);
  std::lock_guard lock(mutex_);
  AllocationUse& use = statistics_.by_name[name];
  use.live += bytes;
  use.peak = std::max(use.peak, use.live);
  ++use.blocks;
  statistics_.live += bytes;
  if (statistics_.live > statistics_.peak) {
    statistics_.peak = statistics_.live;
    for (auto& [key, entry] : statistics_.by_name) entry.at_peak = entry.live;
  }
  return block;
}

void Allocator::release(void* block, size_t bytes, const char* name) noexcept {
  give_back(block, bytes);
  std::lock_guard lock(mutex_);
  statistics_.by_name[name].live -= bytes;
  statistics_.live -= bytes;
}

AllocationStatistics Allocator::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  statistics_.peak = statistics_.live;
  for (auto& [name, use] : statistics_.by_name) use.peak = use.at_peak = use.live;
}

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSlack = size_t{96} << 20;  // kept beyond a sixteenth more than the peak
constexpr size_t kHugePage = size_t{2} << 20;

// Rounds up to one of eight steps per power of two, so that a freed block fits the next request of similar size.
size_t size_class(size_t bytes) {
  const size_t least = std::max(bytes, kAlignment);
  const size_t step = std::max(kAlignment, std::bit_floor(least) / 8);
  return (least + step - 1) / step * step;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepBlocks = false;
#else
constexpr bool kKeepBlocks = true;
#endif

class HostAllocator final : public Allocator {
 public:
  ~HostAllocator() override { drop_kept(); }

 protected:
  void* take(size_t bytes) override {
    const size_t size = kKeepBlocks ? size_class(bytes) : std::max(bytes, size_t{1});
    if (kKeepBlocks) {
      std::lock_guard lock(mutex_);
      if (void* block = take_kept(size)) return block;
    }
    void* block = fresh(size);
    if (block == nullptr) {
      drop_kept();
      block = fresh(size);
    }
    if (block == nullptr) throw std::bad_alloc();
    if (kKeepBlocks) {
      std::lock_guard lock(mutex_);
      count_live(size);
    }
    return block;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    if (!kKeepBlocks) return std::free(block);
    std::lock_guard lock(mutex_);
    size_t size = size_class(bytes);
    if (const auto lent = larger_.find(block); lent != larger_.end()) {
      size = lent->second;
      larger_.erase(lent);
    }
    live_ -= size;
    kept_.push_back({block, size});
    of_size_[size].push_back(std::prev(kept_.end()));
    kept_bytes_ += size;
    // Pictures of many sizes ask for many classes: what is kept must not outgrow what was ever needed at once. The
    // block that waited longest goes, or work that has moved on to other sizes would never find a block.
    while (live_ + kept_bytes_ > peak_ + peak_ / 16 + kSlack) drop_oldest();
  }

 private:
  // Large blocks are mapped one by one: what goes back to the system leaves no hole in the C library's heap.
  static bool mapped(size_t size) { return kKeepBlocks && size >= kHugePage; }

  static void* fresh(size_t size) {
    if (mapped(size)) return map_aligned(size);
    void* block = nullptr;
    return posix_memalign(&block, kAlignment, size) == 0 ? block : nullptr;
  }

  static void free_block(void* block, size_t size) noexcept {
    if (mapped(size)) {
      munmap(block, size);
    } else {
      std::free(block);
    }
  }

  static void* map_aligned(size_t size) {
    void* mapping = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    char* const begin = static_cast<char*>(mapping);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
    if (before > 0) munmap(begin, before);
    if (before < kHugePage) munmap(begin + before + size, kHugePage - before);
    madvise(begin + before, size, MADV_HUGEPAGE);
    return begin + before;
  }

  struct Kept {
    void* block;
    size_t size;
  };

  void count_live(size_t size) {
    live_ += size;
    peak_ = std::max(peak_, live_);
  }

  // A large block may be up to half as large again as what is asked for: one for several sizes is kept instead of one
  // for each, or every pass through a network would fetch memory anew.
  void* take_kept(size_t size) {
    const auto found = of_size_.lower_bound(size);
    if (found == of_size_.end() || found->first > (mapped(size) ? size + size / 2 : size)) return nullptr;
    const auto kept = found->second.back();
    const Kept taken = *kept;
    found->second.pop_back();
    if (found->second.empty()) of_size_.erase(found);
    kept_.erase(kept);
    kept_bytes_ -= taken.size;
    if (taken.size != size) larger_[taken.block] = taken.size;
    count_live(taken.size);
    return taken.block;
  }

  void drop_oldest() noexcept {
    const Kept oldest = kept_.front();
    free_block(oldest.block, oldest.size);
    const auto found = of_size_.find(oldest.size);
    found->second.pop_front();  // the oldest of all is the oldest of its size
    if (found->second.empty()) of_size_.erase(found);
    kept_.pop_front();
    kept_bytes_ -= oldest.size;
  }

  void drop_kept() noexcept {
    std::lock_guard lock(mutex_);
    while (!kept_.empty()) drop_oldest();
  }

  std::mutex mutex_;
  std::list<Kept> kept_;  // as they were given back
  std::map<size_t, std::deque<std::list<Kept>::iterator>> of_size_;
  std::unordered_map<void*, size_t> larger_;     // sizes of the live blocks that are larger than was asked for
  size_t live_ = 0, peak_ = 0, kept_bytes_ = 0;  // bytes, rounded to size classes
};

class PlanAllocator final : public Allocator {
 protected:
  void* take(size_t) override { return reinterpret_cast<void*>(kHugePage); }
  void give_back(void*, size_t) noexcept override {}
};

}  // namespace

std::shared_ptr<Allocator> make_host_allocator() { return std::make_shared<HostAllocator>(); }
std::shared_ptr<Allocator> make_plan_allocator() { return std::make_shared<PlanAllocator>(); }

}  // namespace tessera
