// Everything a kernel needs from a device. Kernels are functions overloaded on the concrete context,
//     TESSERA_KERNEL(relu_forward, ReluForwardArgs);
// and receive plain pointers in args structs. `dispatch` (engine/core/dispatch.h) is the only switch between backends.
// A file kernels/cuda/<op>.cu is compiled for CudaContext by nvcc and for EmulatedContext by the host compiler; what is
// not written for them yet stands in kernels/not_yet.inc and throws.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/allocator.h"
#include "kernels/conv_math.h"

namespace tessera {

enum class Backend : uint8_t {
  cpu,
  cuda,
  emulated,  // the CUDA kernels, executed on the CPU
  plan,      // shapes, costs and memory only: nothing is computed, no data is held
};

const char* backend_name(Backend backend);

class ConvTuner;       // kernels/conv2d_choice.h
class ConstantTables;  // kernels/constant_tables.h

// How the convolutions of a context compute.
struct ConvSettings {
  ConvMath math = ConvMath::fp32;    // the CPU has fp32 and bf16
  std::shared_ptr<ConvTuner> tuner;  // of a GPU; null: the shape of a call decides (choose_conv)
};

class Context {
 public:
  // staging: host memory that transfers start from and end in, null: ordinary host memory.
  Context(Backend backend, std::shared_ptr<Allocator> allocator, std::shared_ptr<Allocator> staging = nullptr);
  virtual ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Backend backend() const { return backend_; }
  // Of what is made next. Shared, because tensors may outlive the context that made them.
  const std::shared_ptr<Allocator>& allocator() const { return allocator_; }
  // The one that the context was made with, for what lives as long as the context.
  const std::shared_ptr<Allocator>& lasting_allocator() const { return lasting_allocator_; }
  const std::shared_ptr<Allocator>& staging_allocator() const { return staging_allocator_; }
  // For a while, see engine/core/allocator_scope.h. Returns the one before.
  std::shared_ptr<Allocator> exchange_allocator(std::shared_ptr<Allocator> allocator) {
    return std::exchange(allocator_, std::move(allocator));
  }

  const ConvSettings& convolutions() const { return convolutions_; }
  void set_convolutions(ConvSettings settings) { convolutions_ = std::move(settings); }

  ConstantTables& constant_tables() { return *constant_tables_; }

  // Launches are recorded at the moment, not run (kernels/launch_graph.h).
  bool capturing() const { return capturing_; }

 protected:
  void set_capturing(bool capturing) { capturing_ = capturing; }

 private:
  Backend backend_;
  std::shared_ptr<Allocator> allocator_, lasting_allocator_, staging_allocator_;
  ConvSettings convolutions_;
  std::unique_ptr<ConstantTables> constant_tables_;
  bool capturing_ = false;
};

class CpuContext final : public Context {
 public:
  // threads: worker threads of the kernels, 0 = all cores this process may use.
  explicit CpuContext(int threads = 0, std::shared_ptr<Allocator> allocator = make_host_allocator());

  int threads() const { return threads_; }

 private:
  int threads_;
};

class LaunchGraph;  // kernels/launch_graph.h
struct CudaState;   // kernels/cuda/state.h

// A GPU; only builds that found a CUDA toolkit can make one. All work goes to one stream, so a freed block may be given
// out again while the kernel that used it still runs; transfers of staged memory go to another one, in its order.
class CudaContext final : public Context {
 public:
  // index: of the GPU, as CUDA counts them. Throws DeviceFailure (kernels/device_failure.h) when it cannot be used.
  explicit CudaContext(int index = 0);
  ~CudaContext() override;

  int index() const { return index_; }
  void* stream() const { return stream_; }  // cudaStream_t
  void synchronize();                       // waits for all work; throws what a kernel left behind
  CudaState& state() { return *state_; }

  void begin_capture();
  std::unique_ptr<LaunchGraph> end_capture();
  void abandon_capture() noexcept;

 private:
  int index_;
  void* stream_ = nullptr;
  std::unique_ptr<CudaState> state_;
};

namespace emulator {
class Executor;
}
struct EmulatedCapture;

// In which order the threads of an emulated launch run, and when an asynchronous copy lands. A kernel that forgets a
// barrier gives wrong results in one of the two, see docs/kernels/emulator.md.
struct EmulatorSchedule {
  enum class Order : uint8_t {
    forward,   // threads in their order, first come first served
    shuffled,  // blocks and warps in random order, each warp as far ahead of the others as it can get
  };
  Order order = Order::forward;
  bool late_copies = true;  // cp.async lands at the wait (true) or where it is issued (false)
  uint64_t seed = 1;        // of the shuffled order

  static EmulatorSchedule forward() { return {Order::forward, true, 1}; }
  static EmulatorSchedule shuffled(uint64_t seed = 1) { return {Order::shuffled, false, seed}; }
};

// The CUDA kernels, executed on the CPU for tests and for stepping through them. Its device memory is host memory.
class EmulatedContext final : public Context {
 public:
  explicit EmulatedContext(const EmulatorSchedule& schedule = {},
                           std::shared_ptr<Allocator> allocator = make_host_allocator());
  ~EmulatedContext() override;

  emulator::Executor& executor() { return *executor_; }

  void begin_capture();
  std::unique_ptr<LaunchGraph> end_capture();
  void abandon_capture() noexcept;

 private:
  std::unique_ptr<emulator::Executor> executor_;
  std::unique_ptr<EmulatedCapture> capture_;
};

class PlanContext final : public Context {
 public:
  PlanContext() : Context(Backend::plan, make_plan_allocator()) {}
};

// Memory of a kernel while it runs: `Scratch<float> columns(context, count);`
template <typename T>
class Scratch {
 public:
  Scratch(Context& context, size_t count) : allocator_(*context.allocator()), bytes_(count * sizeof(T)) {
    data_ = static_cast<T*>(allocator_.allocate(bytes_, "scratch"));
  }
  ~Scratch() { allocator_.release(data_, bytes_, "scratch"); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }
  T& operator[](size_t index) const { return data_[index]; }

 private:
  Allocator& allocator_;
  size_t bytes_;
  T* data_;
};

// Declares an entry point for every backend that computes.
#define TESSERA_KERNEL(name, Args)                   \
  void name(CpuContext& context, const Args& args);  \
  void name(CudaContext& context, const Args& args); \
  void name(EmulatedContext& context, const Args& args)

}  // namespace tessera
