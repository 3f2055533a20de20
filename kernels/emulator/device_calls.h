// What an emulated thread asks of the emulator. Each call acts on the thread that makes it; `file` and `line` are the
// place in the kernel, for diagnoses. A broken rule ends the launch: it throws std::runtime_error to the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tessera::emulator {

// Ends the launch of the running thread. In two steps, because its stack is left as it is: what the first call's
// arguments own is gone before the second leaves for good.
void report_failure(const std::string& reason, const char* file, int line);
[[noreturn]] void abandon_launch();

// __syncthreads: returns when every thread of the block that has not returned from the kernel is here.
void block_barrier(const char* file, int line);
// The same, and combines a value of each thread: how many were not zero.
int block_barrier_count(bool predicate, const char* file, int line);
// All threads of all blocks of a cooperative launch.
void grid_barrier(const char* file, int line);

// Warp operations are one primitive: each lane of `mask` posts its arguments, the last one to arrive does the work of
// all with finish(arguments by lane, mask), then all go on. Lanes that disagree on mask, operation or finish, or that
// have returned, are errors; of the matrix operations PTX asks that all lanes execute the same instruction, so there
// another place in the source is an error too.
enum class WarpOperation : uint8_t {
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  any,
  all,
  synchronise,
  matrix_load,
  matrix_multiply,
};
using WarpFinish = void (*)(void* const* arguments, unsigned mask);
void warp_collective(unsigned mask, WarpOperation operation, void* arguments, WarpFinish finish, const char* file,
                     int line);

// A lane's share of a shuffle: copies the `bytes` (4 or 8) of the value of lane `source` to `result`.
struct ShuffleArguments {
  const void* value;
  void* result;
  int source;
};
template <int bytes>
void finish_shuffle(void* const* arguments, unsigned mask);

struct VoteArguments {
  bool predicate;
  unsigned ballot;  // out
};
void finish_vote(void* const* arguments, unsigned mask);
inline void finish_nothing(void* const*, unsigned) {}

// A lane's fragments (kernels/cuda/tensor_core.h): d += a b; d is float[4], or uint32_t[2] of half pairs.
struct MatrixMultiplyArguments {
  void* d;
  const uint32_t* a;
  const uint32_t* b;
};
void finish_mma_m16n8k16_f16(void* const* arguments, unsigned mask);
void finish_mma_m16n8k16_bf16(void* const* arguments, unsigned mask);
void finish_mma_m16n8k16_f16_f16(void* const* arguments, unsigned mask);
void finish_mma_m16n8k8_tf32(void* const* arguments, unsigned mask);

// A lane's share of ldmatrix: the row it names, and where its registers go.
struct MatrixLoadArguments {
  uint32_t* registers;
  uint16_t row[8];
};
template <int matrices, bool transposed>  // 1, 2 or 4 matrices
void finish_ldmatrix(void* const* arguments, unsigned mask);

void check_aligned(const void* address, size_t bytes, const char* what, const char* file, int line);

unsigned lane();

// The block's array that belongs to `key`, the address of a static object; not a number (0xff) at block start.
void* shared_array(const void* key, size_t bytes, size_t alignment, const char* file, int line);
void* dynamic_shared_memory();

// cp.async: `bytes` (4, 8 or 16) from global to shared memory, the first `valid` of them copied, the others zero.
void copy_async(void* destination, const void* source, int bytes, int valid, const char* file, int line);
void copy_async_commit();
void copy_async_wait(int groups_left);

}  // namespace tessera::emulator
