#include "tests/emulator/closed_allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "kernels/emulator/memory_gate.h"

namespace tessera::testing_support {

namespace {

constexpr size_t kArena = size_t{2} << 30, kAlignment = 64, kPage = 4096;

size_t rounded(size_t bytes) { return (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment; }

// One arena, because one call opens it: blocks are the first fit, free ones next to each other become one.
class ClosedAllocator final : public Allocator, public emulator::MemoryGate {
 public:
  ClosedAllocator() {
    void* arena = mmap(nullptr, kArena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) throw std::bad_alloc();
    arena_ = static_cast<char*>(arena);
    free_[0] = kArena;
  }
  ~ClosedAllocator() override { munmap(arena_, kArena); }

  void open() override {
    std::lock_guard lock(mutex_);
    if (openings_++ == 0) allow(PROT_READ | PROT_WRITE);
  }
  void close() override {
    std::lock_guard lock(mutex_);
    if (--openings_ == 0) allow(PROT_NONE);
  }

 protected:
  void* take(size_t bytes) override {
    const size_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    const auto place = std::find_if(free_.begin(), free_.end(), [&](const auto& gap) { return gap.second >= size; });
    if (place == free_.end()) throw std::bad_alloc();
    const auto [offset, room] = *place;
    free_.erase(place);
    if (room > size) free_[offset + size] = room - size;
    used_ = std::max(used_, (offset + size + kPage - 1) / kPage * kPage);
    if (openings_ == 0) allow(PROT_READ | PROT_WRITE);
    std::memset(arena_ + offset, 0xff, size);
    if (openings_ == 0) allow(PROT_NONE);
    return arena_ + offset;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    auto gap = free_.emplace(static_cast<char*>(block) - arena_, rounded(bytes)).first;
    const auto next = std::next(gap);
    if (next != free_.end() && gap->first + gap->second == next->first) {
      gap->second += next->second;
      free_.erase(next);
    }
    if (gap == free_.begin()) return;
    const auto before = std::prev(gap);
    if (before->first + before->second != gap->first) return;
    before->second += gap->second;
    free_.erase(gap);
  }

 private:
  void allow(int protection) {
    if (used_ > 0 && mprotect(arena_, used_, protection) != 0) throw std::bad_alloc();
  }

  std::mutex mutex_;
  char* arena_ = nullptr;
  size_t used_ = 0;  // from the beginning, whole pages: what is opened
  int openings_ = 0;
  std::map<size_t, size_t> free_;  // offset -> bytes
};

}  // namespace

std::shared_ptr<Allocator> make_closed_allocator() { return std::make_shared<ClosedAllocator>(); }

}  // namespace tessera::testing_support
