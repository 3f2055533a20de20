#include "tests/ops/guarded_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tessera::testing_support {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kGuard = 0;
#else
constexpr size_t kGuard = 256;
#endif
constexpr size_t kAlignment = 64;
constexpr unsigned char kGuardByte = 0xa5;
constexpr int kPoison = 0xff;

class GuardedAllocator final : public Allocator {
 protected:
  void* take(size_t bytes) override {
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, std::max<size_t>(bytes + 2 * kGuard, 1)) != 0) throw std::bad_alloc();
    char* block = static_cast<char*>(memory) + kGuard;
    std::memset(memory, kGuardByte, kGuard);
    std::memset(block, kPoison, bytes);
    std::memset(block + bytes, kGuardByte, kGuard);
    return block;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    const auto* data = static_cast<const unsigned char*>(block);
    const auto intact = [](const unsigned char* guard) {
      return std::all_of(guard, guard + kGuard, [](unsigned char byte) { return byte == kGuardByte; });
    };
    EXPECT_TRUE(intact(data - kGuard)) << "something wrote in front of a block of " << bytes << " bytes";
    EXPECT_TRUE(intact(data + bytes)) << "something wrote behind a block of " << bytes << " bytes";
    std::free(static_cast<char*>(block) - kGuard);
  }
};

}  // namespace

std::shared_ptr<Allocator> make_guarded_allocator() { return std::make_shared<GuardedAllocator>(); }

}  // namespace tessera::testing_support
