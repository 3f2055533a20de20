// The generator as device code runs it.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/context.h"

namespace tessera::testing_support {

// Counter, key and result of one call.
struct PhiloxCase {
  std::array<uint32_t, 4> counter;
  std::array<uint32_t, 2> key;
  std::array<uint32_t, 4> bits;
};

// Fills in the bits of every case; device memory.
void run_philox(EmulatedContext& context, PhiloxCase* cases, int64_t count);
void run_philox(CudaContext& context, PhiloxCase* cases, int64_t count);

}  // namespace tessera::testing_support
