// Pages of host memory for large blocks. A block is cut out of the smallest free range that is large enough, and joins
// its free neighbours when it goes back: work that asks for one set of sizes after another gets pages that it had
// before, and fresh ones, which the system has to clear, only where no range is large enough. Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace tessera {

class PageRanges {
 public:
  static constexpr size_t kPage = size_t{4} << 10;      // blocks are multiples of it
  static constexpr size_t kHugePage = size_t{2} << 20;  // pages come from the system, and go back, by these

  static constexpr size_t block_size(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

  PageRanges() = default;
  ~PageRanges();  // gives all free ranges back to the system
  PageRanges(const PageRanges&) = delete;
  PageRanges& operator=(const PageRanges&) = delete;

  // A block of `size` bytes out of the free ranges, or null. size: a multiple of kPage, here and below.
  void* take(size_t size);
  // A block of fresh pages, or null where the system has none.
  void* fetch(size_t size);
  // now: a time that does not decrease; the range that the block becomes part of was last used then.
  void give_back(void* block, size_t size, uint64_t now);

  size_t free_bytes() const { return free_; }
  // When the free range that waited longest was last used; UINT64_MAX: there is none to drop.
  uint64_t oldest() const;
  // Gives huge pages at its end back to the system, `bytes` or more, or all.
  void drop_oldest(size_t bytes);

 private:
  struct Range {
    size_t size;
    uint64_t last_used;
  };
  using Ranges = std::map<char*, Range>;

  Ranges::const_iterator oldest_range() const;
  void insert(char* begin, size_t size, uint64_t now);

  Ranges ranges_;  // free, by address; no two touch
  size_t free_ = 0;
};

}  // namespace tessera
