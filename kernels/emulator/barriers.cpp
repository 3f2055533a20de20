#include <cstring>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

void release_block_barrier(Execution& execution, Block& block) {
  execution.woken.clear();
  for (Thread* thread : block.threads) {
    if (thread->state == ThreadState::at_block_barrier) execution.woken.push_back(thread);
  }
  block.arrived = 0;
  block.phase ^= 1;
  block.count[block.phase] = 0;
  make_ready(execution, execution.woken);
}

namespace {

// False when the other threads of the block wait elsewhere.
bool arrive_at_block_barrier(Execution& execution, Thread& thread, Block& block, bool predicate) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  const bool same_place = block.barrier_line == thread.line && std::strcmp(block.barrier_file, thread.file) == 0;
  if (block.arrived > 0 && !same_place) {
    report_failure("divergent __syncthreads: other threads of the block wait at " + std::string(block.barrier_file) +
                       ":" + std::to_string(block.barrier_line),
                   thread.file, thread.line);
    return false;
  }
  block.barrier_file = thread.file;
  block.barrier_line = thread.line;
  block.count[block.phase] += predicate ? 1 : 0;
  race_release(&block.barrier_object[block.phase]);
  thread.state = ThreadState::at_block_barrier;
  if (++block.arrived == block.alive) release_block_barrier(execution, block);
  return true;
}

bool arrive_at_grid_barrier(Execution& execution, Thread& thread) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  if (!execution.shape.cooperative) {
    report_failure("a grid barrier in a launch that is not cooperative", thread.file, thread.line);
    return false;
  }
  thread.state = ThreadState::at_grid_barrier;
  race_release(&execution.grid_object[execution.grid_phase]);
  if (++execution.grid_arrived < execution.grid_total) return true;
  execution.woken.clear();
  for (const Block* block : execution.blocks) {
    for (Thread* other : block->threads) {
      if (other->state == ThreadState::at_grid_barrier) execution.woken.push_back(other);
    }
  }
  execution.grid_arrived = 0;
  execution.grid_phase ^= 1;
  make_ready(execution, execution.woken);
  return true;
}

}  // namespace

int block_barrier_count(bool predicate, const char* file, int line) {
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  Block& block = *thread.block;
  thread.file = file;
  thread.line = line;
  const int phase = block.phase;
  if (!arrive_at_block_barrier(execution, thread, block, predicate)) abandon_launch();
  run_next(execution);
  race_acquire(&block.barrier_object[phase]);
  return block.count[phase];
}

void block_barrier(const char* file, int line) { block_barrier_count(false, file, line); }

void grid_barrier(const char* file, int line) {
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  thread.file = file;
  thread.line = line;
  const int phase = execution.grid_phase;
  if (!arrive_at_grid_barrier(execution, thread)) abandon_launch();
  run_next(execution);
  race_acquire(&execution.grid_object[phase]);
}

}  // namespace tessera::emulator
