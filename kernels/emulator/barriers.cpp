#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

#include <cstring>

namespace tessera::emulator {

void release_block_barrier(Execution& execution, Block& block) {
  std::vector<Thread*> woken;
  for (Thread* thread : block.threads) {
    if (thread->state == ThreadState::at_block_barrier) woken.push_back(thread);
  }
  block.arrived = 0;
  block.phase ^= 1;
  block.count[block.phase] = 0;
  make_ready(execution, woken);
}

int block_barrier_count(bool predicate, const char* file, int line) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  Block& block = *thread.block;
  thread.file = file;
  thread.line = line;
  if (block.arrived > 0 && (block.barrier_line != line || std::strcmp(block.barrier_file, file) != 0)) {
    fail("divergent __syncthreads: other threads of the block wait at " + std::string(block.barrier_file) + ":" +
             std::to_string(block.barrier_line),
         file, line);
  }
  block.barrier_file = file;
  block.barrier_line = line;
  const int phase = block.phase;
  block.count[phase] += predicate ? 1 : 0;
  race_release(&block.barrier_object[phase]);
  thread.state = ThreadState::at_block_barrier;
  if (++block.arrived == block.alive) release_block_barrier(execution, block);
  run_next(execution);
  race_acquire(&block.barrier_object[phase]);
  return block.count[phase];
}

void block_barrier(const char* file, int line) { block_barrier_count(false, file, line); }

void grid_barrier(const char* file, int line) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  thread.file = file;
  thread.line = line;
  if (!execution.shape.cooperative) fail("a grid barrier in a launch that is not cooperative", file, line);
  thread.state = ThreadState::at_grid_barrier;
  const int phase = execution.grid_phase;
  race_release(&execution.grid_object[phase]);
  if (++execution.grid_arrived == execution.grid_total) {
    std::vector<Thread*> woken;
    for (const Block* block : execution.blocks) {
      for (Thread* other : block->threads) {
        if (other->state == ThreadState::at_grid_barrier) woken.push_back(other);
      }
    }
    execution.grid_arrived = 0;
    execution.grid_phase ^= 1;
    make_ready(execution, woken);
  }
  run_next(execution);
  race_acquire(&execution.grid_object[phase]);
}

}  // namespace tessera::emulator
