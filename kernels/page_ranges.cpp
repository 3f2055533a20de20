#include "kernels/page_ranges.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

namespace tessera {

namespace {

constexpr size_t round_up(size_t bytes) {
  return (bytes + PageRanges::kHugePage - 1) / PageRanges::kHugePage * PageRanges::kHugePage;
}

size_t beyond_huge_page(const char* place) { return reinterpret_cast<uintptr_t>(place) % PageRanges::kHugePage; }

size_t to_huge_page(const char* place) {
  return (PageRanges::kHugePage - beyond_huge_page(place)) % PageRanges::kHugePage;
}

// Bytes of the huge pages that lie in a range whole.
size_t whole_huge_pages(const char* begin, size_t size) {
  const size_t beside = to_huge_page(begin) + beyond_huge_page(begin + size);
  return size <= beside ? 0 : size - beside;
}

// size: of whole huge pages.
char* map_pages(size_t size) {
  void* const mapping =
      mmap(nullptr, size + PageRanges::kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(mapping);
  const size_t before = to_huge_page(begin);
  char* const pages = begin + before;
  if (before > 0) munmap(begin, before);
  if (before < PageRanges::kHugePage) munmap(pages + size, PageRanges::kHugePage - before);
  madvise(pages, size, MADV_HUGEPAGE);
  return pages;
}

}  // namespace

PageRanges::~PageRanges() {
  for (const auto& [begin, range] : ranges_) munmap(begin, range.size);
}

void* PageRanges::take(size_t size) {
  auto best = ranges_.end();
  for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
    const size_t bytes = range->second.size;
    if (bytes >= size && (best == ranges_.end() || bytes < best->second.size)) best = range;
  }
  if (best == ranges_.end()) return nullptr;
  const auto [begin, range] = *best;
  ranges_.erase(best);
  if (range.size > size) ranges_.emplace(begin + size, Range{range.size - size, range.last_used});
  free_ -= size;
  return begin;
}

void* PageRanges::fetch(size_t size) {
  const size_t mapped = round_up(size);
  char* const begin = map_pages(mapped);
  if (begin != nullptr && mapped > size) insert(begin + size, mapped - size, 0);
  return begin;
}

void PageRanges::give_back(void* block, size_t size, uint64_t now) { insert(static_cast<char*>(block), size, now); }

void PageRanges::insert(char* begin, size_t size, uint64_t now) {
  free_ += size;
  auto next = ranges_.lower_bound(begin);
  if (next != ranges_.end() && next->first == begin + size) {
    size += next->second.size;
    now = std::max(now, next->second.last_used);
    next = ranges_.erase(next);
  }
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.size == begin) {
      before->second.size += size;
      before->second.last_used = std::max(now, before->second.last_used);
      return;
    }
  }
  ranges_.emplace(begin, Range{size, now});
}

PageRanges::Ranges::const_iterator PageRanges::oldest_range() const {
  auto oldest = ranges_.end();
  for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
    if (whole_huge_pages(range->first, range->second.size) == 0) continue;
    if (oldest == ranges_.end() || range->second.last_used < oldest->second.last_used) oldest = range;
  }
  return oldest;
}

uint64_t PageRanges::oldest() const {
  const auto range = oldest_range();
  return range == ranges_.end() ? UINT64_MAX : range->second.last_used;
}

void PageRanges::drop_oldest(size_t bytes) {
  const auto oldest = oldest_range();
  if (oldest == ranges_.end()) return;
  const auto [begin, range] = *oldest;
  const size_t dropped = std::min(whole_huge_pages(begin, range.size), round_up(bytes));
  const size_t behind = beyond_huge_page(begin + range.size), before = range.size - dropped - behind;
  munmap(begin + before, dropped);
  free_ -= dropped;
  ranges_.erase(oldest);
  if (before > 0) ranges_.emplace(begin, Range{before, range.last_used});
  if (behind > 0) ranges_.emplace(begin + before + dropped, Range{behind, range.last_used});
}

}  // namespace tessera
