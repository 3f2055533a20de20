#include "tests/emulator/closed_allocator.h"

#include <gtest/gtest.h>

#include "engine/core/tensor.h"

namespace tessera {
namespace {

using testing_support::make_closed_allocator;

TEST(ClosedAllocator, CopiesAndKernelsReachItsMemory) {
  EmulatedContext context({}, make_closed_allocator());
  const Tensor x = Tensor::from_host<float>(context, {3}, std::vector<float>{1, 2, 3});
  const Tensor zeros = Tensor::zeros(context, {5000});
  EXPECT_EQ(x.to_host<float>(context), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(zeros.to_host<float>(context), std::vector<float>(5000, 0.0f));
}

TEST(ClosedAllocator, GivesFreedMemoryOutAgain) {
  const auto allocator = make_closed_allocator();
  void* first = allocator->allocate(100, "test");
  void* second = allocator->allocate(200, "test");
  void* third = allocator->allocate(300, "test");
  allocator->release(first, 100, "test");
  allocator->release(second, 200, "test");
  EXPECT_EQ(allocator->allocate(300, "test"), first) << "neighbours that are free are one gap";
  allocator->release(first, 300, "test");
  allocator->release(third, 300, "test");
  EXPECT_EQ(allocator->allocate(1 << 20, "test"), first);
  EXPECT_THROW(allocator->allocate(size_t{3} << 30, "test"), std::bad_alloc);
}

#if !defined(__SANITIZE_THREAD__)  // which has its own idea of a process that ends
TEST(ClosedAllocatorDeathTest, TheHostMayNotFollowADevicePointer) {
  EmulatedContext context({}, make_closed_allocator());
  const Tensor x = Tensor::from_host<float>(context, {3}, std::vector<float>{1, 2, 3});
  volatile float sum = 0;
  EXPECT_DEATH(sum = sum + x.data<float>()[1], "");
}
#endif

}  // namespace
}  // namespace tessera
