// State of a running launch; internal to kernels/emulator.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/executor.h"
#include "kernels/emulator/fiber.h"

namespace tessera::emulator {

inline constexpr int kWarpSize = 32;

struct Block;
struct Warp;

enum class ThreadState : uint8_t { ready, at_block_barrier, at_warp_operation, at_grid_barrier, returned };

struct PendingCopy {
  void* destination;
  const void* source;
  int bytes, valid;
  bool landed;  // in memory already, and waited for by a race checker alone
};

struct Thread {
  explicit Thread(void (*entry)()) : fiber(entry) {}

  Fiber fiber;
  uint3 index{};
  int linear = 0, lane = 0;
  Block* block = nullptr;
  Warp* warp = nullptr;
  ThreadState state = ThreadState::returned;
  const char* file = "";  // last place it told
  int line = 0;
  std::vector<PendingCopy> copies;  // issued and not waited for, oldest first
  std::vector<size_t> group_ends;   // of the groups committed and not waited for, oldest first: places in `copies`
};

// Lanes that wait in one warp operation; kept by the lowest lane of the mask.
struct WarpGroup {
  unsigned mask = 0;
  int arrived = 0;
  WarpOperation operation{};
  WarpFinish finish = nullptr;  // with the operation tells what the lanes called
  const char* file = "";        // of the last lane to arrive
  int line = 0;
};

struct Warp {
  Thread* lanes[kWarpSize] = {};
  unsigned standing = 0;  // lanes that the block has and that have not returned
  void* arguments[kWarpSize] = {};
  WarpGroup groups[kWarpSize];
};

struct SharedArray {
  const void* key;
  char* memory;  // guard bytes, the array, guard bytes
  size_t bytes;
  size_t guard;
  const char* file;
  int line;

  char* data() const { return memory + guard; }
};

struct Block {
  uint3 index{};
  uint64_t linear = 0;
  std::vector<Thread*> threads;
  std::vector<Warp> warps;
  int alive = 0, arrived = 0;
  const char* barrier_file = "";
  int barrier_line = 0;
  int count[2] = {};  // of block_barrier_count, by phase
  int phase = 0;      // alternates with every barrier
  char barrier_object[2] = {};
  std::vector<SharedArray> shared;
  size_t static_shared_bytes = 0;
};

struct Execution {
  EmulatorSchedule schedule;
  std::mutex mutex;  // one launch at a time
  Thread* running = nullptr;

  std::vector<Thread*> queue;  // ready threads: from `head` on in forward order, from the back in shuffled order
  size_t head = 0;
  std::vector<Thread*> woken;                           // by the barrier or warp operation that ends now
  std::vector<std::pair<uint64_t, Thread*>> shuffling;  // of make_ready
  uint64_t random_state = 0;

  LaunchShape shape{};
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;
  std::vector<Block*> blocks;  // resident now
  int live = 0;                // threads that have not returned
  int grid_arrived = 0, grid_phase = 0, grid_total = 0;
  char grid_object[2] = {};
  char start_object = 0, end_object = 0;
  std::string error;
};

// The launch that this CPU thread runs, or null.
extern thread_local Execution* current_execution;

Thread& running_thread();
std::string place_of(const Thread& thread);
void make_ready(Execution& execution, const std::vector<Thread*>& threads);
void run_next(Execution& execution);  // leaves the running thread for the next ready one, or for the host
void release_block_barrier(Execution& execution, Block& block);
void forget_copies(Thread& thread);
// Why a device could not hold all blocks of a cooperative launch at once, when each has `shared_bytes` of shared
// memory; empty when it can.
std::string why_not_resident(const LaunchShape& shape, size_t shared_bytes);
SharedArray new_shared_array(const void* key, size_t bytes, size_t alignment, const char* file, int line);
void free_shared_arrays(Block& block);
void check_shared_guards(Execution& execution, const Block& block);

}  // namespace tessera::emulator
