#include "tests/ops/guarded_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <set>
#include <vector>

#include "engine/core/dispatch.h"
#include "kernels/memory.h"

namespace tessera::testing_support {

namespace {

constexpr size_t kDeviceGuard = 256;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kGuard = 0;
#else
constexpr size_t kGuard = kDeviceGuard;
#endif
constexpr size_t kAlignment = 64;
constexpr unsigned char kGuardByte = 0xa5, kPoison = 0xff;

void expect_intact(const unsigned char* front, const unsigned char* behind, size_t guard, size_t bytes) {
  const auto intact = [guard](const unsigned char* bytes_of_guard) {
    return std::all_of(bytes_of_guard, bytes_of_guard + guard, [](unsigned char byte) { return byte == kGuardByte; });
  };
  EXPECT_TRUE(intact(front)) << "something wrote in front of a block of " << bytes << " bytes";
  EXPECT_TRUE(intact(behind)) << "something wrote behind a block of " << bytes << " bytes";
}

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
    expect_intact(data - kGuard, data + bytes, kGuard, bytes);
    std::free(static_cast<char*>(block) - kGuard);
  }
};

class GuardedDeviceAllocator final : public Allocator {
 public:
  explicit GuardedDeviceAllocator(Context& context) : context_(context), memory_(context.allocator()) {}

 protected:
  void* take(size_t bytes) override {
    char* memory = static_cast<char*>(memory_->allocate(bytes + 2 * kDeviceGuard, "guarded"));
    if (context_.capturing()) {
      std::lock_guard lock(mutex_);
      unguarded_.insert(memory);
    } else {
      std::vector<unsigned char> fill(bytes + 2 * kDeviceGuard, kGuardByte);
      std::fill_n(fill.begin() + kDeviceGuard, bytes, kPoison);
      dispatch(context_, [&](auto& device) { memory_from_host(device, memory, fill.data(), fill.size()); });
    }
    return memory + kDeviceGuard;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    char* memory = static_cast<char*>(block) - kDeviceGuard;
    try {
      if (is_guarded(memory) && !context_.capturing()) expect_guards(memory, bytes);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "the guards of a block of " << bytes << " bytes cannot be read: " << error.what();
    }
    memory_->release(memory, bytes + 2 * kDeviceGuard, "guarded");
  }

 private:
  bool is_guarded(const char* memory) {
    std::lock_guard lock(mutex_);
    return unguarded_.erase(memory) == 0;
  }

  void expect_guards(const char* memory, size_t bytes) {
    std::vector<unsigned char> front(kDeviceGuard), behind(kDeviceGuard);
    dispatch(context_, [&](auto& device) {
      memory_to_host(device, front.data(), memory, kDeviceGuard);
      memory_to_host(device, behind.data(), memory + kDeviceGuard + bytes, kDeviceGuard);
    });
    expect_intact(front.data(), behind.data(), kDeviceGuard, bytes);
  }

  Context& context_;
  std::shared_ptr<Allocator> memory_;
  std::mutex mutex_;
  std::set<const char*> unguarded_;  // taken while launches were recorded
};

}  // namespace

std::shared_ptr<Allocator> make_guarded_allocator() { return std::make_shared<GuardedAllocator>(); }

std::shared_ptr<Allocator> make_guarded_device_allocator(Context& context) {
  return std::make_shared<GuardedDeviceAllocator>(context);
}

}  // namespace tessera::testing_support
