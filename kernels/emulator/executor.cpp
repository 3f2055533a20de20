#include "kernels/emulator/executor.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/language.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera {

inline namespace emulated_port {
constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};
}  // namespace emulated_port

namespace emulator {

thread_local Execution* current_execution = nullptr;

namespace {

// Of this CPU thread: itself, and the emulated threads that it has made. Launches use them again, whatever their
// context, because a fiber costs more than most kernels.
thread_local Fiber host;
thread_local std::vector<std::unique_ptr<Thread>> threads_to_use;

// Limits of compute capability 8.6 and of every CUDA launch.
constexpr uint64_t kMostThreads = 1024, kMostThreadsZ = 64;
constexpr uint64_t kMostBlocksX = 0x7fffffff, kMostBlocksYZ = 65535;
constexpr size_t kMostSharedBytes = 99 << 10;
constexpr size_t kMostParameterBytes = 4096;
// What one multiprocessor holds of a launch, and how many a large card of compute capability 8.6 has.
constexpr uint64_t kMultiprocessors = 84, kResidentThreads = 1536, kResidentBlocks = 16;
constexpr uint64_t kResidentSharedBytes = 100 << 10, kReservedSharedBytes = 1 << 10;

// Under race checking: threads of one launch that have an identity of their own, unless one block has more. Each costs
// time at every barrier, and ThreadSanitizer knows 8,128 at most.
constexpr size_t kMostIdentities = 1024;
constexpr size_t kFewestBlocksApart = 3;

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void check_shape(const LaunchShape& shape) {
  const auto text = [](const dim3& size) {
    return "(" + std::to_string(size.x) + ", " + std::to_string(size.y) + ", " + std::to_string(size.z) + ")";
  };
  const auto refuse = [&](const std::string& reason) {
    throw std::invalid_argument("launch at " + std::string(shape.file) + ":" + std::to_string(shape.line) + ": " +
                                reason);
  };
  const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
  if (threads == 0) refuse("a block without threads: " + text(shape.block));
  if (shape.block.x > kMostThreads || shape.block.y > kMostThreads || shape.block.z > kMostThreadsZ ||
      threads > kMostThreads) {
    refuse("block " + text(shape.block) + " has more threads than a block may have (1024, z 64)");
  }
  if (shape.grid.x > kMostBlocksX || shape.grid.y > kMostBlocksYZ || shape.grid.z > kMostBlocksYZ) {
    refuse("grid " + text(shape.grid) + " is larger than a grid may be (2147483647, 65535, 65535)");
  }
  if (shape.shared_bytes > kMostSharedBytes) {
    refuse(std::to_string(shape.shared_bytes) + " bytes of shared memory, a block may have 101376");
  }
  if (shape.parameter_bytes > kMostParameterBytes) {
    refuse(std::to_string(shape.parameter_bytes) + " bytes of parameters, a kernel may have 4096");
  }
  if (!shape.cooperative) return;
  const std::string reason = why_not_resident(shape, shape.shared_bytes);
  if (!reason.empty()) refuse(reason);
}

void thread_returned() {
  {
    [[maybe_unused]] const NotOfTheKernel quiet;  // ends before the switch: the fiber may come back under another name
    Execution& execution = *current_execution;
    Thread& thread = *execution.running;
    Block& block = *thread.block;
    thread.state = ThreadState::returned;
    thread.warp->standing &= ~(1u << thread.lane);
    forget_copies(thread);
    race_release(&execution.end_object);
    --block.alive;
    --execution.live;
    if (execution.shape.cooperative) --execution.grid_total;
    if (block.alive > 0 && block.arrived == block.alive) release_block_barrier(execution, block);
  }
  run_next(*current_execution);
}

// What every fiber does: one thread after another, for as long as the pool lives.
void thread_loop() {
  for (;;) {
    race_acquire(&current_execution->start_object);
    current_execution->body(current_execution->arguments);
    thread_returned();
  }
}

void switch_to(Execution& execution, Thread* next) {
  Thread* const previous = execution.running;
  if (next == previous) return;
  execution.running = next;
  if (next != nullptr) {
    threadIdx = next->index;
    blockIdx = next->block->index;
  }
  Fiber::switch_to(previous != nullptr ? previous->fiber : host, next != nullptr ? next->fiber : host);
}

std::unique_ptr<Block> make_block(Execution& execution, uint64_t linear, size_t first_thread) {
  const dim3 &grid = execution.shape.grid, &size = execution.shape.block;
  const size_t threads = size_t{size.x} * size.y * size.z;
  auto block = std::make_unique<Block>();
  block->linear = linear;
  block->index = {static_cast<unsigned>(linear % grid.x), static_cast<unsigned>(linear / grid.x % grid.y),
                  static_cast<unsigned>(linear / grid.x / grid.y)};
  block->alive = static_cast<int>(threads);
  block->warps.resize((threads + kWarpSize - 1) / kWarpSize);
  while (threads_to_use.size() < first_thread + threads) {
    threads_to_use.push_back(std::make_unique<Thread>(&thread_loop));
  }
  for (size_t i = 0; i < threads; ++i) {
    Thread& thread = *threads_to_use[first_thread + i];
    const unsigned linear_thread = static_cast<unsigned>(i);
    thread.index = {linear_thread % size.x, linear_thread / size.x % size.y, linear_thread / (size.x * size.y)};
    thread.linear = static_cast<int>(i);
    thread.lane = thread.linear % kWarpSize;
    thread.block = block.get();
    thread.warp = &block->warps[i / kWarpSize];
    thread.warp->lanes[thread.lane] = &thread;
    thread.warp->standing |= 1u << thread.lane;
    thread.state = ThreadState::ready;
    block->threads.push_back(&thread);
  }
  if (execution.shape.shared_bytes > 0) {
    block->shared.push_back(
        new_shared_array(nullptr, execution.shape.shared_bytes, 128, execution.shape.file, execution.shape.line));
  }
  return block;
}

const char* wait_name(ThreadState state) {
  switch (state) {
    case ThreadState::at_block_barrier:
      return "__syncthreads";
    case ThreadState::at_warp_operation:
      return "a warp operation";
    case ThreadState::at_grid_barrier:
      return "the grid barrier";
    case ThreadState::ready:
    case ThreadState::returned:
      break;
  }
  return "nothing";
}

// Of a thread in a warp operation: the lane that will never come, if there is one.
std::string missing_lane(const Thread& thread) {
  if (thread.state != ThreadState::at_warp_operation) return {};
  for (const WarpGroup& group : thread.warp->groups) {
    if (group.arrived == 0 || (group.mask >> thread.lane & 1u) == 0) continue;
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const bool named = (group.mask >> lane & 1u) != 0;
      if (named && thread.warp->lanes[lane]->state == ThreadState::returned) {
        return "; lane " + std::to_string(lane) + " of its mask has returned from the kernel";
      }
    }
  }
  return {};
}

std::string describe_deadlock(const Execution& execution) {
  constexpr int kMostPlaces = 6;
  std::string text = "deadlock, " + std::to_string(execution.live) + " threads wait:";
  std::string last;
  int places = 0;
  for (const Block* block : execution.blocks) {
    for (const Thread* thread : block->threads) {
      if (thread->state == ThreadState::returned) continue;
      const std::string wait =
          std::string(wait_name(thread->state)) + " at " + thread->file + ":" + std::to_string(thread->line);
      if (wait == last) continue;
      last = wait;
      if (places++ < kMostPlaces) text += "\n  " + place_of(*thread) + " in " + wait + missing_lane(*thread);
    }
  }
  return text;
}

// Threads of a launch that failed stay where they were; their stacks are used again from the top.
void abandon_threads() {
  for (const auto& thread : threads_to_use) {
    if (thread->state == ThreadState::returned) continue;
    thread->state = ThreadState::returned;
    forget_copies(*thread);
    thread->fiber.restart();
  }
}

// The order in which blocks run that need not run together.
std::vector<uint64_t> order_of_blocks(Execution& execution, uint64_t blocks) {
  std::vector<uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), uint64_t{0});
  if (execution.schedule.order == EmulatorSchedule::Order::shuffled) {
    for (uint64_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[next_random(execution.random_state) % i]);
  }
  return order;
}

// After how many blocks their threads, and so for race checking their identities, come again. A thread is ordered after
// all that its identity did before, so races between blocks that share identities stay unseen: the number is prime,
// because kernels collide at even distances and at those of a row of blocks, and orders of blocks are shuffled.
uint64_t blocks_apart(size_t threads) {
  if (!kRaceCheck) return 1;
  const auto prime = [](size_t number) {
    for (size_t divisor = 2; divisor * divisor <= number; ++divisor) {
      if (number % divisor == 0) return false;
    }
    return true;
  };
  size_t apart = std::max(kMostIdentities / threads, kFewestBlocksApart);
  while (!prime(apart)) --apart;
  return apart;
}

void run_blocks(Execution& execution, const std::vector<std::unique_ptr<Block>>& blocks) {
  execution.queue.clear();
  execution.head = 0;
  execution.blocks.clear();
  std::vector<Thread*> threads;
  for (const auto& block : blocks) {
    execution.blocks.push_back(block.get());
    threads.insert(threads.end(), block->threads.begin(), block->threads.end());
  }
  execution.live = execution.grid_total = static_cast<int>(threads.size());
  execution.grid_arrived = 0;
  make_ready(execution, threads);
  host.adopt_thread();
  race_release(&execution.start_object);
  run_next(execution);
  if (execution.shape.cooperative) race_acquire(&execution.end_object);
  if (execution.error.empty() && execution.live > 0) execution.error = describe_deadlock(execution);
  for (const auto& block : blocks) {
    if (execution.error.empty()) check_shared_guards(execution, *block);
    free_shared_arrays(*block);
  }
  execution.blocks.clear();
  if (!execution.error.empty()) abandon_threads();
}

}  // namespace

std::string why_not_resident(const LaunchShape& shape, size_t shared_bytes) {
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
  const uint64_t warp_threads = (threads + kWarpSize - 1) / kWarpSize * kWarpSize;
  const uint64_t each = std::min(
      {kResidentBlocks, kResidentThreads / warp_threads, kResidentSharedBytes / (shared_bytes + kReservedSharedBytes)});
  if (blocks <= each * kMultiprocessors) return {};
  return "a cooperative launch of " + std::to_string(blocks) + " blocks, of which a device of " +
         std::to_string(kMultiprocessors) + " multiprocessors holds " + std::to_string(each * kMultiprocessors) +
         " at once";
}

Thread& running_thread() { return *current_execution->running; }

std::string place_of(const Thread& thread) {
  const auto text = [](const uint3& index) {
    return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
  };
  return "block " + text(thread.block->index) + " thread " + text(thread.index);
}

void make_ready(Execution& execution, const std::vector<Thread*>& threads) {
  for (Thread* thread : threads) thread->state = ThreadState::ready;
  if (execution.schedule.order == EmulatorSchedule::Order::shuffled) {
    // Warps in random order, lanes in random order within their warp: a warp runs as far ahead as it can.
    const uint64_t key = next_random(execution.random_state);
    execution.shuffling.clear();
    for (Thread* thread : threads) {
      const uint64_t first_warp = thread->block->linear * thread->block->warps.size();
      uint64_t warp = key ^ (first_warp + static_cast<uint64_t>(thread->linear / kWarpSize));
      uint64_t own = key + static_cast<uint64_t>(thread->linear);
      execution.shuffling.emplace_back((next_random(warp) & ~uint64_t{0xffffffff}) | next_random(own) >> 32, thread);
    }
    std::sort(execution.shuffling.begin(), execution.shuffling.end());
    for (const auto& [rank, thread] : execution.shuffling) execution.queue.push_back(thread);
    return;
  }
  if (execution.head > execution.queue.size() / 2) {
    execution.queue.erase(execution.queue.begin(), execution.queue.begin() + static_cast<ptrdiff_t>(execution.head));
    execution.head = 0;
  }
  execution.queue.insert(execution.queue.end(), threads.begin(), threads.end());
}

void run_next(Execution& execution) {
  if (execution.head == execution.queue.size()) {
    switch_to(execution, nullptr);
  } else if (execution.schedule.order == EmulatorSchedule::Order::shuffled) {
    Thread* next = execution.queue.back();
    execution.queue.pop_back();
    switch_to(execution, next);
  } else {
    switch_to(execution, execution.queue[execution.head++]);
  }
}

void report_failure(const std::string& reason, const char* file, int line) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Execution& execution = *current_execution;
  if (!execution.error.empty()) return;
  execution.error =
      std::string(file) + ":" + std::to_string(line) + ": " + reason + " (" + place_of(*execution.running) + ")";
}

void abandon_launch() {
  switch_to(*current_execution, nullptr);
  __builtin_unreachable();
}

unsigned lane() { return static_cast<unsigned>(running_thread().lane); }

Executor::Executor(const EmulatorSchedule& schedule, MemoryGate* gate)
    : gate_(gate), execution_(std::make_unique<Execution>()) {
  execution_->schedule = schedule;
}

Executor::~Executor() = default;

void Executor::launch(const LaunchShape& shape, void (*body)(void*), std::shared_ptr<void> arguments) {
  check_shape(shape);
  if (steps_ == nullptr) return run(shape, body, arguments.get());
  steps_->push_back([this, shape, body, kept = std::move(arguments)] { run(shape, body, kept.get()); });
}

void Executor::perform(std::function<void()> work) {
  const auto step = [gate = gate_, call = std::move(work)] {
    const OpenMemory open(gate);
    call();
  };
  if (steps_ == nullptr) return step();
  steps_->push_back(step);
}

void Executor::run(const LaunchShape& shape, void (*body)(void*), void* arguments) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Execution& execution = *execution_;
  std::lock_guard lock(execution.mutex);
  const OpenMemory open(gate_);
  if (current_execution != nullptr) throw std::logic_error("a kernel launched a kernel");
  launched_from_.emplace(shape.file, shape.line);
  execution.shape = shape;
  execution.body = body;
  execution.arguments = arguments;
  execution.error.clear();
  execution.random_state = execution.schedule.seed;
  blockDim = shape.block;
  gridDim = shape.grid;
  struct Current {
    explicit Current(Execution& running) { current_execution = &running; }
    ~Current() { current_execution = nullptr; }
  } const current(execution);

  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  const size_t threads = size_t{shape.block.x} * shape.block.y * shape.block.z;
  std::vector<std::unique_ptr<Block>> resident;
  if (shape.cooperative) {
    for (uint64_t i = 0; i < blocks; ++i) resident.push_back(make_block(execution, i, i * threads));
    run_blocks(execution, resident);
  } else {
    const std::vector<uint64_t> order = order_of_blocks(execution, blocks);
    const uint64_t apart = blocks_apart(threads);
    for (uint64_t i = 0; i < blocks && execution.error.empty(); ++i) {
      resident.clear();
      resident.push_back(make_block(execution, order[i], i % apart * threads));
      run_blocks(execution, resident);
    }
  }
  race_acquire(&execution.end_object);
  if (!execution.error.empty()) {
    throw std::runtime_error(execution.error + "\n  in the kernel launched at " + shape.file + ":" +
                             std::to_string(shape.line));
  }
}

}  // namespace emulator
}  // namespace tessera
