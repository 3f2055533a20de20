#include "kernels/allocator.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace tessera {
namespace {

TEST(Allocator, AccountsByName) {
  const auto allocator = make_plan_allocator();
  void* a = allocator->allocate(100, "a");
  void* b = allocator->allocate(50, "b");
  allocator->release(a, 100, "a");
  void* c = allocator->allocate(70, "b");
  AllocationStatistics statistics = allocator->statistics();
  EXPECT_EQ(statistics.live, 120u);
  EXPECT_EQ(statistics.peak, 150u);
  EXPECT_EQ(statistics.by_name["a"].live, 0u);
  EXPECT_EQ(statistics.by_name["a"].at_peak, 100u);
  EXPECT_EQ(statistics.by_name["b"].peak, 120u);
  EXPECT_EQ(statistics.by_name["b"].at_peak, 50u);
  EXPECT_EQ(statistics.by_name["b"].blocks, 2u);
  allocator->reset_peak();
  statistics = allocator->statistics();
  EXPECT_EQ(statistics.peak, 120u);
  EXPECT_EQ(statistics.by_name["a"].peak, 0u);
  EXPECT_EQ(statistics.by_name["b"].at_peak, 120u);
  allocator->release(b, 50, "b");
  allocator->release(c, 70, "b");
  EXPECT_EQ(allocator->statistics().live, 0u);
}

TEST(Allocator, HostBlocksAreAlignedApartAndWritable) {
  const auto allocator = make_host_allocator();
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (const size_t bytes : {0ul, 1ul, 63ul, 64ul, 65ul, 1000ul, 4097ul, (2ul << 20) + 1, 5ul << 20}) {
    auto* block = static_cast<unsigned char*>(allocator->allocate(bytes, "test"));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u) << bytes;
    std::memset(block, static_cast<int>(blocks.size()), bytes);
    blocks.emplace_back(block, bytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto [block, bytes] = blocks[i];
    if (bytes > 0) {
      EXPECT_EQ(block[0], i);
      EXPECT_EQ(block[bytes - 1], i);
    }
    allocator->release(block, bytes, "test");
  }
  EXPECT_EQ(allocator->statistics().live, 0u);
}

// What was kept for earlier work makes room: a size asked for again and again is not fetched anew each time.
TEST(Allocator, HostBlocksOfTheCurrentWorkAreKept) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "under AddressSanitizer no block is used twice";
#endif
  const auto allocator = make_host_allocator();
  constexpr size_t kMegabyte = size_t{1} << 20;
  std::vector<void*> earlier;
  for (size_t i = 0; i < 64; ++i) earlier.push_back(allocator->allocate((4 + i % 2) * kMegabyte, "earlier"));
  for (size_t i = 0; i < 64; ++i) allocator->release(earlier[i], (4 + i % 2) * kMegabyte, "earlier");
  void* live = allocator->allocate(90 * kMegabyte, "now");
  allocator->release(live, 90 * kMegabyte, "now");
  live = allocator->allocate(90 * kMegabyte, "now");
  for (int i = 0; i < 8; ++i) {
    auto* block = static_cast<unsigned char*>(allocator->allocate(50 * kMegabyte, "beside"));
    EXPECT_EQ(i == 0 ? 0 : block[kMegabyte], i) << "memory fresh from the system is zero";
    block[kMegabyte] = static_cast<unsigned char>(i + 1);
    allocator->release(block, 50 * kMegabyte, "beside");
  }
  allocator->release(live, 90 * kMegabyte, "now");
  EXPECT_EQ(allocator->statistics().live, 0u);
}

// One set of sizes after another, each less in all than the first: nothing is fetched anew.
TEST(Allocator, LargeHostBlocksAreCutAndJoined) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "under AddressSanitizer no block is used twice";
#endif
  const auto allocator = make_host_allocator();
  constexpr size_t kMegabyte = size_t{1} << 20;
  const auto marked = [&](const std::vector<size_t>& megabytes, unsigned char before, unsigned char after) {
    std::vector<unsigned char*> blocks;
    for (const size_t count : megabytes) {
      blocks.push_back(static_cast<unsigned char*>(allocator->allocate(count * kMegabyte, "test")));
      for (size_t page = 0; page < count * kMegabyte; page += 4096) {
        ASSERT_EQ(blocks.back()[page], before) << "of " << count << " MB, at " << page;
        blocks.back()[page] = after;
      }
    }
    for (size_t i = 0; i < blocks.size(); ++i) allocator->release(blocks[i], megabytes[i] * kMegabyte, "test");
  };
  marked({120}, 0, 1);
  marked({64, 32, 16, 8}, 1, 2);
  marked({60, 60}, 2, 2);
  EXPECT_EQ(allocator->statistics().live, 0u);
}

TEST(Allocator, ServesManyThreads) {
  const auto allocator = make_host_allocator();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 500; ++i) {
        const size_t bytes = static_cast<size_t>(1 + (i * 37 + thread * 101) % 3000);
        void* block = allocator->allocate(bytes, "shared");
        std::memset(block, thread, bytes);
        allocator->release(block, bytes, "shared");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator->statistics().live, 0u);
  EXPECT_EQ(allocator->statistics().by_name["shared"].blocks, 2000u);
}

TEST(Allocator, ImpossibleRequestsThrow) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends the program on requests of this size";
#endif
  const auto allocator = make_host_allocator();
  EXPECT_THROW(allocator->allocate(size_t{1} << 60, "test"), std::bad_alloc);
  EXPECT_EQ(allocator->statistics().live, 0u);
}

}  // namespace
}  // namespace tessera
