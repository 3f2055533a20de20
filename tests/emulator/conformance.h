// Every wrapper of a hardware instruction as a function of bits: `inputs` words per lane in, `outputs` words per lane
// out. The same cases run on a GPU, where their results are recorded, and on the emulator, where they are replayed.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera::testing_support {

enum class Wrapper : int {
  mma_f16,      // d[4], a[4], b[2] -> d[4]
  mma_bf16,     // the same
  mma_f16_f16,  // d[2], a[4], b[2] -> d[2]
  mma_tf32,     // as mma_f16
  ldmatrix_x1,  // 16 bytes of each lane's row -> 1; lane l names row (5 l + 3) mod 32
  ldmatrix_x2,  // -> 2
  ldmatrix_x4,  // -> 4
  ldmatrix_x1_transposed,
  ldmatrix_x2_transposed,
  ldmatrix_x4_transposed,
  copy_async_4,  // 4 words, valid where the first is even -> 4 words of shared memory that held ones before
  copy_async_8,
  copy_async_16,
  to_tf32,     // 1 -> 1
  from_float,  // 1 -> half, bfloat16
  pack2,       // 2 -> half pair, bfloat16 pair
  shuffle,     // value, lane -> xor, idx, up, down, and the same in segments of 8
  vote,        // 1 -> ballot, any, all of the lowest bit
  count,
};

inline constexpr int kMostInputs = 10, kMostOutputs = 8;

struct WrapperCase {
  const char* name;
  int inputs, outputs;
  bool exact;  // bit for bit; else sums, whose order is the hardware's own
};

inline constexpr WrapperCase kWrappers[] = {
    {"mma_f16", 10, 4, false},     {"mma_bf16", 10, 4, false},    {"mma_f16_f16", 8, 2, false},
    {"mma_tf32", 10, 4, false},    {"ldmatrix_x1", 4, 1, true},   {"ldmatrix_x2", 4, 2, true},
    {"ldmatrix_x4", 4, 4, true},   {"ldmatrix_x1_t", 4, 1, true}, {"ldmatrix_x2_t", 4, 2, true},
    {"ldmatrix_x4_t", 4, 4, true}, {"copy_async_4", 4, 4, true},  {"copy_async_8", 4, 4, true},
    {"copy_async_16", 4, 4, true}, {"to_tf32", 1, 1, true},       {"from_float", 1, 2, true},
    {"pack2", 2, 2, true},         {"shuffle", 2, 8, true},       {"vote", 1, 3, true},
};
static_assert(sizeof(kWrappers) / sizeof(kWrappers[0]) == static_cast<size_t>(Wrapper::count));

// One warp. in: [32, kMostInputs], out: [32, kMostOutputs], device memory.
void run_wrapper(EmulatedContext& context, Wrapper wrapper, const uint32_t* in, uint32_t* out);
void run_wrapper(CudaContext& context, Wrapper wrapper, const uint32_t* in, uint32_t* out);

}  // namespace tessera::testing_support
