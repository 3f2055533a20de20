#include "tests/ops/guarded_allocator.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/core/tensor.h"

namespace tessera {
namespace {

using testing_support::make_guarded_allocator;
using testing_support::make_guarded_device_allocator;

constexpr size_t kBytes = 100;

// Writes one byte at `place` of a block and releases it.
void write_and_release(Allocator& allocator, int place) {
  char* block = static_cast<char*>(allocator.allocate(kBytes, "test"));
  block[place] = 1;
  allocator.release(block, kBytes, "test");
}

void expect_poisoned(Allocator& allocator) {
  auto* block = static_cast<float*>(allocator.allocate(kBytes, "test"));
  for (size_t i = 0; i < kBytes / sizeof(float); ++i) EXPECT_TRUE(std::isnan(block[i])) << i;
  std::memset(block, 0, kBytes);
  allocator.release(block, kBytes, "test");
}

void expect_guarded(Allocator& allocator) {
  expect_poisoned(allocator);
  expect_poisoned(allocator);  // also where a block was before
  for (const int place : {0, static_cast<int>(kBytes) - 1}) write_and_release(allocator, place);
  for (const int place : {-1, -256}) {
    EXPECT_NONFATAL_FAILURE(write_and_release(allocator, place), "in front of a block of 100 bytes");
  }
  for (const int place : {static_cast<int>(kBytes), static_cast<int>(kBytes) + 255}) {
    EXPECT_NONFATAL_FAILURE(write_and_release(allocator, place), "behind a block of 100 bytes");
  }
}

#if defined(__SANITIZE_ADDRESS__)
TEST(GuardedAllocatorDeathTest, LeavesItsEndsToAddressSanitizer) {
  const auto allocator = make_guarded_allocator();
  expect_poisoned(*allocator);
  for (const int place : {-1, static_cast<int>(kBytes)}) {
    EXPECT_DEATH(write_and_release(*allocator, place), "heap-buffer-overflow");
  }
}
#else
TEST(GuardedAllocator, FindsWhatIsWrittenBesideABlock) { expect_guarded(*make_guarded_allocator()); }
#endif

TEST(GuardedDeviceAllocator, FindsWhatIsWrittenBesideABlock) {
  EmulatedContext context;
  expect_guarded(*make_guarded_device_allocator(context));
}

TEST(GuardedDeviceAllocator, HoldsTheTensorsOfAContext) {
  EmulatedContext context;
  context.exchange_allocator(make_guarded_device_allocator(context));
  const std::vector<float> values = {1, 2, 3};
  EXPECT_EQ(Tensor::from_host<float>(context, {3}, values).to_host<float>(context), values);
  const std::vector<float> unset = Tensor::empty(context, {3}).to_host<float>(context);
  for (const float value : unset) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace tessera
