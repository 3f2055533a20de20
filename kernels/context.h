// Everything a kernel needs from a device. Kernels are functions overloaded on the concrete context:
//     void relu_forward(CpuContext&, const ReluForwardArgs&);
// and receive plain pointers in args structs. `dispatch` (engine/core/dispatch.h) is the only switch between backends.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/allocator.h"

namespace tessera {

enum class Backend : uint8_t {
  cpu,
  cuda,
  emulated,  // the CUDA kernels, executed on the CPU
  plan,      // shapes, costs and memory only: nothing is computed, no data is held
};

const char* backend_name(Backend backend);

class Context {
 public:
  Context(Backend backend, std::shared_ptr<Allocator> allocator)
      : backend_(backend), allocator_(std::move(allocator)) {}
  virtual ~Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Backend backend() const { return backend_; }
  // Shared, because tensors may outlive the context that made them.
  const std::shared_ptr<Allocator>& allocator() const { return allocator_; }

 private:
  Backend backend_;
  std::shared_ptr<Allocator> allocator_;
};

class CpuContext final : public Context {
 public:
  // threads: worker threads of the kernels, 0 = all cores this process may use.
  explicit CpuContext(int threads = 0);

  int threads() const { return threads_; }

 private:
  int threads_;
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

}  // namespace tessera
