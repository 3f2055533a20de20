// Mistakes with memory, planted in small kernels: each must be found, by the emulator, by guard bytes, by poison, or by
// AddressSanitizer at the line.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/tensor_core.h"
#include "tests/emulator/run_kernel.h"

namespace tessera {
namespace {

using namespace testing_support;

__global__ void stale_shared_kernel(float* y, bool dynamic) {
  SHARED(fixed, float[4]);
  float* sum = dynamic ? dynamic_shared<float>() : fixed;
  if (threadIdx.x == 0) sum[0] += 1.0f;  // never set
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = sum[0];
}

TEST(PlantedBug, SharedMemoryIsNotANumberInEveryBlock) {
  EmulatedContext context;
  for (const bool dynamic : {false, true}) {
    std::vector<float> y(3, 0.0f);
    launch(stale_shared_kernel, 3, 32, 16, context, y.data(), dynamic);
    for (const float value : y) EXPECT_TRUE(std::isnan(value)) << dynamic;
  }
}

__global__ void misaligned_kernel(const float* x, float* y) { store4(y, load4(x + 1)); }

__global__ void misaligned_copy_kernel(const float* x) {
  SHARED(tile, float[8]);
  copy_async<16>(tile + 2, x);
}

// `offset` in elements of two bytes: rows are 16 bytes apart.
__global__ void load_matrix_kernel(int offset) {
  SHARED(rows, uint16_t[8][8]);
  uint32_t registers[1];
  ldmatrix<1, false>(registers, rows[threadIdx.x % 8] + offset);
}

TEST(PlantedBug, MisalignedVectorsAreRefused) {
  EmulatedContext context;
  alignas(16) const float x[8] = {};
  alignas(16) float y[4];
  const std::string message = message_of([&] { launch(misaligned_kernel, 1, 1, 0, context, &x[0], &y[0]); });
  EXPECT_NE(message.find("misaligned"), std::string::npos) << message;
  EXPECT_NE(message.find("planted_memory_test.cpp"), std::string::npos) << message;
  const std::string copy = message_of([&] { launch(misaligned_copy_kernel, 1, 1, 0, context, &x[0]); });
  EXPECT_NE(copy.find("misaligned"), std::string::npos) << copy;
  EXPECT_EQ(message_of([&] { launch(load_matrix_kernel, 1, 32, 0, context, 0); }), "");
  const std::string matrix = message_of([&] { launch(load_matrix_kernel, 1, 32, 0, context, 4); });
  EXPECT_NE(matrix.find("misaligned address for ldmatrix"), std::string::npos) << matrix;
  EXPECT_NE(matrix.find("planted_memory_test.cpp"), std::string::npos) << matrix;
}

__global__ void shared_write_kernel(int at, bool dynamic) {
  SHARED(tile, float[40]);
  float* array = dynamic ? dynamic_shared<float>() : tile;
  if (threadIdx.x == 0) array[at] = 1.0f;
}

// Copies x[from] to tile[to]; arrays of 40 floats.
__global__ void copy_kernel(const float* x, int from, int to) {
  SHARED(tile, float[40]);
  if (threadIdx.x == 0) copy_async<4>(tile + to, x + from);
  copy_async_commit();
  copy_async_wait<0>();
}

#if defined(__SANITIZE_ADDRESS__)
__global__ void shared_read_kernel(int at, bool dynamic, float* y) {
  SHARED(tile, float[40]);
  const float* array = dynamic ? dynamic_shared<float>() : tile;
  if (threadIdx.x == 0) *y = array[at];
}

__global__ void global_write_kernel(float* y, int at) { y[at] = 1.0f; }
__global__ void global_read_kernel(const float* x, int at, float* y) { *y = x[at]; }

constexpr const char* kReport = "heap-buffer-overflow";

TEST(PlantedBugDeathTest, AddressSanitizerSeesBeyondASharedArray) {
  EmulatedContext context;
  float y = 0;
  for (const bool dynamic : {false, true}) {
    for (const int at : {40, -1}) {
      EXPECT_DEATH(launch(shared_write_kernel, 1, 32, 160, context, at, dynamic), kReport);
      EXPECT_DEATH(launch(shared_read_kernel, 1, 32, 160, context, at, dynamic, &y), kReport);
    }
    launch(shared_read_kernel, 1, 32, 160, context, 39, dynamic, &y);
  }
  EXPECT_DEATH(launch(load_matrix_kernel, 1, 32, 0, context, 8), kReport);
}

TEST(PlantedBugDeathTest, AddressSanitizerSeesBeyondATensor) {
  EmulatedContext context;
  const Scratch<float> x(context, 40);
  std::memset(x.data(), 0, 160);
  float y = 0;
  launch(global_write_kernel, 1, 1, 0, context, x.data(), 39);
  launch(global_read_kernel, 1, 1, 0, context, x.data(), 39, &y);
  for (const int at : {40, -1}) {
    EXPECT_DEATH(launch(global_write_kernel, 1, 1, 0, context, x.data(), at), kReport);
    EXPECT_DEATH(launch(global_read_kernel, 1, 1, 0, context, x.data(), at, &y), kReport);
  }
}

TEST(PlantedBugDeathTest, AddressSanitizerSeesBeyondBothEndsOfACopy) {
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    const Scratch<float> x(context, 40);
    std::memset(x.data(), 0, 160);
    launch(copy_kernel, 1, 32, 0, context, x.data(), 39, 39);
    for (const int at : {40, -1}) {
      EXPECT_DEATH(launch(copy_kernel, 1, 32, 0, context, x.data(), at, 0), kReport);
      EXPECT_DEATH(launch(copy_kernel, 1, 32, 0, context, x.data(), 0, at), kReport);
    }
  }
}

__global__ void many_locals_kernel(float* y) {
  volatile float locals[1 << 15];
  for (int i = 0; i < (1 << 15); ++i) locals[i] = static_cast<float>(i);
  y[0] = locals[threadIdx.x];
}

TEST(PlantedBugDeathTest, TooManyLocalsHitTheGuardPage) {
  EmulatedContext context;
  float y = 0;
  EXPECT_DEATH(launch(many_locals_kernel, 1, 32, 0, context, &y), "stack-overflow");
}
#else
TEST(PlantedBug, WritesBeyondASharedArrayAreFoundAtTheEndOfTheBlock) {
  EmulatedContext context;
  for (const bool dynamic : {false, true}) {
    EXPECT_EQ(message_of([&] { launch(shared_write_kernel, 1, 32, 160, context, 39, dynamic); }), "");
    const std::string behind = message_of([&] { launch(shared_write_kernel, 1, 32, 160, context, 40, dynamic); });
    EXPECT_NE(behind.find("wrote behind"), std::string::npos) << behind;
    const std::string front = message_of([&] { launch(shared_write_kernel, 1, 32, 160, context, -1, dynamic); });
    EXPECT_NE(front.find("wrote in front of"), std::string::npos) << front;
  }
}

TEST(PlantedBug, CopiesBeyondASharedArrayAreFoundAtTheEndOfTheBlock) {
  const std::vector<float> x(40, 1.0f);
  for (const EmulatorSchedule& schedule : emulator_schedules()) {
    EmulatedContext context(schedule);
    EXPECT_EQ(message_of([&] { launch(copy_kernel, 1, 32, 0, context, x.data(), 39, 39); }), "");
    const std::string behind = message_of([&] { launch(copy_kernel, 1, 32, 0, context, x.data(), 0, 40); });
    EXPECT_NE(behind.find("wrote behind"), std::string::npos) << behind;
    const std::string front = message_of([&] { launch(copy_kernel, 1, 32, 0, context, x.data(), 0, -1); });
    EXPECT_NE(front.find("wrote in front of"), std::string::npos) << front;
  }
}
#endif

}  // namespace
}  // namespace tessera
