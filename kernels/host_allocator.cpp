#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <new>

#include "kernels/allocator.h"
#include "kernels/page_ranges.h"

namespace tessera {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSlack = size_t{32} << 20;  // kept beyond a sixteenth more than the peak
constexpr size_t kLarge = size_t{1} << 20;   // blocks from here on are cut out of pages

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepBlocks = false;
#else
constexpr bool kKeepBlocks = true;
#endif

// Rounds up to one of eight steps per power of two, so that a freed block fits the next request of similar size.
size_t size_class(size_t bytes) {
  const size_t least = std::max(bytes, kAlignment);
  const size_t step = std::max(kAlignment, std::bit_floor(least) / 8);
  return (least + step - 1) / step * step;
}

size_t block_size(size_t bytes) {
  if (!kKeepBlocks) return std::max(bytes, size_t{1});
  const size_t size = size_class(bytes);
  return size < kLarge ? size : PageRanges::block_size(bytes);
}

void* aligned_block(size_t size) {
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, size) == 0 ? block : nullptr;
}

// Small blocks are kept by size.
class HostAllocator final : public Allocator {
 public:
  ~HostAllocator() override {
    while (!kept_.empty()) drop_oldest_small();
  }

 protected:
  void* take(size_t bytes) override {
    if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t size = block_size(bytes);
    std::lock_guard lock(mutex_);
    void* block = kKeepBlocks ? take_kept(size) : nullptr;
    if (block == nullptr) {
      drop_beyond(std::max(peak_, live_ + size), size);
      block = fetch(size);
    }
    if (block == nullptr) {
      drop_beyond(0, size);
      block = fetch(size);
    }
    if (block == nullptr) throw std::bad_alloc();
    live_ += size;
    peak_ = std::max(peak_, live_);
    return block;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    const size_t size = block_size(bytes);
    std::lock_guard lock(mutex_);
    live_ -= size;
    if (!kKeepBlocks) return std::free(block);
    if (size >= kLarge) {
      pages_.give_back(block, size, ++now_);
    } else {
      kept_.push_back({block, size, ++now_});
      of_size_[size].push_back(std::prev(kept_.end()));
      kept_bytes_ += size;
    }
    drop_beyond(peak_, 0);
  }

 private:
  struct Kept {
    void* block;
    size_t size;
    uint64_t last_used;
  };

  void* take_kept(size_t size) {
    if (size >= kLarge) return pages_.take(size);
    const auto found = of_size_.find(size);
    if (found == of_size_.end()) return nullptr;
    const auto kept = found->second.back();
    void* const block = kept->block;
    found->second.pop_back();
    if (found->second.empty()) of_size_.erase(found);
    kept_.erase(kept);
    kept_bytes_ -= size;
    return block;
  }

  void* fetch(size_t size) { return kKeepBlocks && size >= kLarge ? pages_.fetch(size) : aligned_block(size); }

  // Pictures of many sizes leave ranges that fit none: with `coming` bytes more, what is kept must not outgrow what was
  // ever needed at once. What waited longest goes, or work that has moved on to other sizes would find nothing.
  void drop_beyond(size_t peak, size_t coming) noexcept {
    const size_t most = peak + peak / 16 + kSlack;
    for (;;) {
      const size_t all = live_ + kept_bytes_ + pages_.free_bytes() + coming;
      if (all <= most) return;
      const uint64_t small = kept_.empty() ? UINT64_MAX : kept_.front().last_used;
      const uint64_t large = pages_.oldest();
      if (small == UINT64_MAX && large == UINT64_MAX) return;
      if (large < small) {
        pages_.drop_oldest(all - most);
      } else {
        drop_oldest_small();
      }
    }
  }

  void drop_oldest_small() noexcept {
    const Kept oldest = kept_.front();
    std::free(oldest.block);
    const auto found = of_size_.find(oldest.size);
    found->second.pop_front();  // the oldest of all is the oldest of its size
    if (found->second.empty()) of_size_.erase(found);
    kept_.pop_front();
    kept_bytes_ -= oldest.size;
  }

  std::mutex mutex_;
  PageRanges pages_;
  std::list<Kept> kept_;  // small ones, as they were given back
  std::map<size_t, std::deque<std::list<Kept>::iterator>> of_size_;
  size_t live_ = 0, peak_ = 0, kept_bytes_ = 0;  // bytes of blocks, as they were rounded
  uint64_t now_ = 0;                             // counts what was given back
};

}  // namespace

std::shared_ptr<Allocator> make_host_allocator() { return std::make_shared<HostAllocator>(); }

}  // namespace tessera
