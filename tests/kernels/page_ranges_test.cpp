#include "kernels/page_ranges.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <vector>

#include "engine/core/rng.h"

namespace tessera {
namespace {

constexpr size_t kPage = PageRanges::kPage, kHuge = PageRanges::kHugePage;

char* fetch(PageRanges& pages, size_t size) { return static_cast<char*>(pages.fetch(size)); }
char* take(PageRanges& pages, size_t size) { return static_cast<char*>(pages.take(size)); }

bool is_mapped(char* page) {
  unsigned char resident;
  return mincore(page, kPage, &resident) == 0 || errno != ENOMEM;
}

TEST(PageRanges, FreshPagesAreWholeHugePages) {
  PageRanges pages;
  EXPECT_EQ(take(pages, kPage), nullptr) << "nothing is free yet";
  char* const block = fetch(pages, 3 * kPage);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % kHuge, 0u);
  EXPECT_EQ(pages.free_bytes(), kHuge - 3 * kPage) << "what is over is free";
  EXPECT_EQ(pages.oldest(), UINT64_MAX) << "no huge page of it";
  EXPECT_EQ(take(pages, kHuge - 3 * kPage), block + 3 * kPage);
  EXPECT_EQ(pages.free_bytes(), 0u);
  pages.give_back(block, kHuge, 1);
}

TEST(PageRanges, TheSmallestRangeIsCutAndNeighboursJoin) {
  PageRanges pages;
  char* const all = fetch(pages, 8 * kHuge);
  char* const small = all + 6 * kHuge;  // [0, 5) and [6, 8) are free
  pages.give_back(all, 5 * kHuge, 1);
  pages.give_back(small, 2 * kHuge, 2);
  EXPECT_EQ(take(pages, 6 * kHuge), nullptr);
  EXPECT_EQ(take(pages, kHuge), small);
  EXPECT_EQ(take(pages, 3 * kHuge), all);
  EXPECT_EQ(pages.free_bytes(), 3 * kHuge);
  pages.give_back(all, 3 * kHuge, 3);
  pages.give_back(small, kHuge, 4);
  EXPECT_EQ(take(pages, 8 * kHuge), nullptr) << "the page between them is live";
  pages.give_back(all + 5 * kHuge, kHuge, 5);
  EXPECT_EQ(pages.free_bytes(), 8 * kHuge);
  EXPECT_EQ(take(pages, 8 * kHuge), all);
  pages.give_back(all, 8 * kHuge, 6);
}

TEST(PageRanges, DropsWholeHugePagesOfTheRangeThatWaitedLongest) {
  PageRanges pages;
  char* const all = fetch(pages, 8 * kHuge);
  pages.give_back(all + 5 * kHuge, 2 * kHuge, 1);
  pages.give_back(all + kPage, 3 * kHuge, 2);
  EXPECT_EQ(pages.oldest(), 1u);
  pages.drop_oldest(kPage);
  EXPECT_EQ(pages.free_bytes(), 4 * kHuge) << "one at its end";
  EXPECT_FALSE(is_mapped(all + 6 * kHuge));
  EXPECT_TRUE(is_mapped(all + 5 * kHuge));
  pages.drop_oldest(SIZE_MAX / 2);
  EXPECT_EQ(pages.oldest(), 2u);
  pages.drop_oldest(SIZE_MAX / 2);
  EXPECT_EQ(pages.free_bytes(), kHuge) << "a huge page less a page, and a page";
  EXPECT_TRUE(is_mapped(all + kHuge - kPage));
  EXPECT_FALSE(is_mapped(all + kHuge));
  EXPECT_FALSE(is_mapped(all + 3 * kHuge - kPage));
  EXPECT_TRUE(is_mapped(all + 3 * kHuge));
  EXPECT_EQ(pages.oldest(), UINT64_MAX);
  pages.drop_oldest(kHuge);
  EXPECT_EQ(pages.free_bytes(), kHuge);
  pages.give_back(all, kPage, 3);
  pages.give_back(all + 3 * kHuge + kPage, 2 * kHuge - kPage, 3);
  pages.give_back(all + 7 * kHuge, kHuge, 3);
  EXPECT_EQ(pages.free_bytes(), 4 * kHuge) << "four were dropped";
}

// Against a list of live blocks: none overlap, each keeps what was written, and all bytes are found again.
TEST(PageRanges, RandomOrders) {
  PageRanges pages;
  Rng rng(7, RandomPurpose::test);
  struct Block {
    char* begin;
    size_t size;
    char mark;
  };
  std::vector<Block> live;
  size_t live_bytes = 0, fetched = 0, dropped = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const uint64_t word = rng.bits();
    if (live.size() < 20 && word % 2 == 0) {
      const size_t size = (1 + word / 2 % 1200) * kPage;
      char* block = take(pages, size);
      if (block == nullptr) {
        const size_t before = pages.free_bytes();
        block = fetch(pages, size);
        fetched += size + pages.free_bytes() - before;
      }
      const char mark = static_cast<char>(i % 127);
      for (size_t page = 0; page < size; page += kPage) block[page] = block[page + kPage - 1] = mark;
      live.push_back({block, size, mark});
      live_bytes += size;
    } else if (!live.empty()) {
      const size_t at = word / 2 % live.size();
      const Block block = live[at];
      for (size_t page = 0; page < block.size; page += kPage) {
        ASSERT_EQ(block.begin[page], block.mark);
        ASSERT_EQ(block.begin[page + kPage - 1], block.mark);
      }
      pages.give_back(block.begin, block.size, i);
      live.erase(live.begin() + static_cast<int64_t>(at));
      live_bytes -= block.size;
    }
    if (word % 37 == 0) {
      const size_t before = pages.free_bytes();
      pages.drop_oldest(kHuge);
      dropped += before - pages.free_bytes();
    }
    ASSERT_EQ(live_bytes + pages.free_bytes(), fetched - dropped) << i;
  }
  EXPECT_GT(dropped, 0u);
  for (const Block& block : live) pages.give_back(block.begin, block.size, 4000);
}

}  // namespace
}  // namespace tessera
