// Runs launches of CUDA kernels on the calling CPU thread: one fiber per thread of a block, one block after another
// (all blocks at once for a cooperative launch).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/context.h"
#include "kernels/emulator/memory_gate.h"
#include "kernels/emulator/vector_types.h"

namespace tessera::emulator {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes;     // dynamic
  size_t parameter_bytes;  // of the kernel's parameters
  bool cooperative;
  const char* file;  // of the launch
  int line;
};

struct Execution;

class Executor {
 public:
  // gate: of the memory the kernels work on, or null; outlives this.
  explicit Executor(const EmulatorSchedule& schedule, MemoryGate* gate = nullptr);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Calls body(arguments) once per thread, with threadIdx and its like set. Throws std::invalid_argument for a shape
  // that a device of compute capability 8.6 would refuse, std::runtime_error with the place for what a kernel does
  // wrong: divergent barriers, missing lanes, deadlock, writes beyond a shared array. While steps are recorded the
  // launch becomes one of them.
  void launch(const LaunchShape& shape, void (*body)(void*), std::shared_ptr<void> arguments);
  // Calls work with the memory of the kernels open: copies and fills. Recorded like a launch.
  void perform(std::function<void()> work);

  using Steps = std::vector<std::function<void()>>;
  void record_to(Steps* steps) { steps_ = steps; }  // null: run again

  // Files and lines of the launches that ran, for who asks what a test has reached.
  const std::set<std::pair<std::string, int>>& launched_from() const { return launched_from_; }

 private:
  void run(const LaunchShape& shape, void (*body)(void*), void* arguments);

  MemoryGate* gate_;
  Steps* steps_ = nullptr;
  std::set<std::pair<std::string, int>> launched_from_;
  std::unique_ptr<Execution> execution_;
};

}  // namespace tessera::emulator
