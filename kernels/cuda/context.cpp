// The CUDA runtime behind CudaContext: a stream for the work, one for transfers, and memory that is kept when freed.
// Compiled where a toolkit is found. Recording is kernels/cuda/launch_graph.cpp.
#include "kernels/context.h"

#include <cuda_runtime_api.h>

#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/state.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_failure.h"
#include "kernels/launch_graph.h"
#include "kernels/memory.h"

namespace tessera {

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that does not stick is not to be met again by the next call
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw_cuda_failure(what, cudaGetErrorString(error));
}

cudaStream_t stream_of(CudaContext& context) {
  check_cuda(cudaSetDevice(context.index()), "choosing the GPU");
  return static_cast<cudaStream_t>(context.stream());
}

namespace {

constexpr auto check = check_cuda;

void refuse_capture(const CudaContext& context, const char* what) {
  if (context.capturing()) throw CaptureRefused(what);
}

// Keeps freed blocks by size class, because to take and to free waits for the device. Memory of the GPU is safe there
// because a context has one stream for its work: what still uses a block runs before what gets it next.
class KeepingAllocator : public Allocator {
 public:
  explicit KeepingAllocator(int index) : index_(index) {}

 protected:
  void* take(size_t bytes) override {
    const size_t size = size_class(bytes);
    {
      std::lock_guard lock(mutex_);
      auto found = kept_.find(size);
      if (found != kept_.end() && !found->second.empty()) {
        void* block = found->second.back();
        found->second.pop_back();
        return block;
      }
    }
    void* block = nullptr;
    check(cudaSetDevice(index_), "choosing the GPU");
    if (fresh(&block, size) == cudaSuccess) return block;
    cudaGetLastError();
    drop_kept();
    const cudaError_t refused = fresh(&block, size);
    if (refused == cudaErrorMemoryAllocation) throw_out_of_memory(size);
    check(refused, "memory of the GPU");
    return block;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    kept_[size_class(bytes)].push_back(block);
  }

  virtual cudaError_t fresh(void** block, size_t bytes) = 0;
  [[noreturn]] virtual void throw_out_of_memory(size_t) { throw std::bad_alloc(); }
  virtual void free(void* block) noexcept = 0;

  void drop_kept() noexcept {
    std::lock_guard lock(mutex_);
    cudaDeviceSynchronize();
    for (auto& [size, blocks] : kept_) {
      for (void* block : blocks) free(block);
    }
    kept_.clear();
  }

 private:
  // 512 bytes at least, then eight steps per power of two.
  static size_t size_class(size_t bytes) {
    size_t power = 512;
    while (power * 2 <= bytes) power *= 2;
    const size_t step = power > 512 ? power / 8 : 512;
    return bytes <= 512 ? 512 : (bytes + step - 1) / step * step;
  }

  int index_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> kept_;
};

class CudaAllocator final : public KeepingAllocator {
 public:
  using KeepingAllocator::KeepingAllocator;
  ~CudaAllocator() override { drop_kept(); }

 private:
  cudaError_t fresh(void** block, size_t bytes) override { return cudaMalloc(block, bytes); }
  [[noreturn]] void throw_out_of_memory(size_t bytes) override {
    size_t left = 0, total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&left, &total);
    throw DeviceOutOfMemory(bytes, left, total);
  }
  void free(void* block) noexcept override { cudaFree(block); }
};

// Page-locked memory of the host. Whoever frees a block has waited for the transfers of it (memory_wait).
class PinnedAllocator final : public KeepingAllocator {
 public:
  using KeepingAllocator::KeepingAllocator;
  ~PinnedAllocator() override { drop_kept(); }

 private:
  cudaError_t fresh(void** block, size_t bytes) override { return cudaHostAlloc(block, bytes, cudaHostAllocDefault); }
  void free(void* block) noexcept override { cudaFreeHost(block); }
};

}  // namespace

std::vector<CudaDevice> find_cuda_devices() {
  std::vector<CudaDevice> devices;
  const int count = find_cuda_facts(0).gpus;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) break;
    devices.push_back({properties.name, properties.major, properties.minor, properties.multiProcessorCount,
                       properties.totalGlobalMem});
  }
  return devices;
}

CudaFacts find_cuda_facts(int index) {
  CudaFacts facts{.index = index, .architectures = TESSERA_CUDA_ARCHITECTURES};
  cudaRuntimeGetVersion(&facts.runtime_version);
  if (cudaDriverGetVersion(&facts.driver_version) != cudaSuccess) facts.driver_version = 0;
  const cudaError_t counted = cudaGetDeviceCount(&facts.gpus);
  if (counted != cudaSuccess) {
    cudaGetLastError();
    facts.gpus = 0;
    facts.refusal = cudaGetErrorString(counted);
  }
  if (index >= facts.gpus) return facts;
  cudaDeviceGetAttribute(&facts.major, cudaDevAttrComputeCapabilityMajor, index);
  cudaDeviceGetAttribute(&facts.minor, cudaDevAttrComputeCapabilityMinor, index);
  cudaDeviceProp properties;
  if (!has_code_for(facts.architectures, facts.major, facts.minor) &&
      cudaGetDeviceProperties(&properties, index) == cudaSuccess) {
    facts.name = properties.name;  // takes long to ask for
  }
  return facts;
}

CudaContext::CudaContext(int index)
    : Context(Backend::cuda, std::make_shared<CudaAllocator>(index), std::make_shared<PinnedAllocator>(index)),
      index_(index),
      state_(std::make_unique<CudaState>()) {
  if (const std::optional<DeviceFailure> failure = explain_cuda(find_cuda_facts(index))) throw DeviceFailure(*failure);
  check(cudaSetDevice(index), "choosing the GPU");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  stream_ = stream;
  check(cudaStreamCreateWithFlags(&state_->copies, cudaStreamNonBlocking), "a stream");
  check(cudaEventCreateWithFlags(&state_->launched, cudaEventDisableTiming), "an event");
  check(cudaEventCreateWithFlags(&state_->copied, cudaEventDisableTiming), "an event");
}

CudaContext::~CudaContext() {
  cudaSetDevice(index_);
  const cudaStream_t stream = static_cast<cudaStream_t>(stream_);
  cudaStreamSynchronize(stream);
  cudaStreamSynchronize(state_->copies);
  if (state_->communication != nullptr) {
    cudaStreamSynchronize(state_->communication);
    cudaStreamDestroy(state_->communication);
  }
  state_->cublas.reset();
  state_->cudnn.reset();
  cudaEventDestroy(state_->copied);
  cudaEventDestroy(state_->launched);
  cudaStreamDestroy(state_->copies);
  cudaStreamDestroy(stream);
}

void CudaContext::synchronize() {
  refuse_capture(*this, "the host waits for the GPU");
  check(cudaStreamSynchronize(stream_of(*this)), "a kernel failed");
}

void memory_zero(CudaContext& context, void* destination, size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(destination, 0, bytes, stream_of(context)), "clearing memory");
}

void memory_copy(CudaContext& context, void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream_of(context)), "copying memory");
}

void memory_from_host(CudaContext& context, void* destination, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the host is copied to the GPU");
  if (bytes == 0) return;
  // From pageable memory this returns when the bytes are staged.
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream_of(context)), "copy to the GPU");
}

void memory_to_host(CudaContext& context, void* destination, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the GPU is read by the host");
  if (bytes > 0) {
    check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToHost, stream_of(context)), "copy from the GPU");
  }
  context.synchronize();
}

// `second` does nothing more before what `first` was given so far is done.
static void let_wait(cudaStream_t second, cudaStream_t first, cudaEvent_t event) {
  check(cudaEventRecord(event, first), "recording an event");
  check(cudaStreamWaitEvent(second, event, 0), "waiting for an event");
}

cudaStream_t begin_communication(CudaContext& context) {
  refuse_capture(context, "GPUs communicate");
  const cudaStream_t stream = stream_of(context);
  CudaState& state = context.state();
  if (state.communication == nullptr) {
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "priorities of streams");
    check(cudaStreamCreateWithPriority(&state.communication, cudaStreamNonBlocking, greatest), "a stream");
  }
  let_wait(state.communication, stream, state.launched);
  return state.communication;
}

void end_communication(CudaContext& context) {
  const cudaStream_t stream = stream_of(context);
  if (context.state().communication != nullptr) let_wait(stream, context.state().communication, context.state().copied);
}

void memory_upload(CudaContext& context, void* destination, const void* staged, size_t bytes) {
  refuse_capture(context, "memory of the host is copied to the GPU");
  if (bytes == 0) return;
  const cudaStream_t stream = stream_of(context);
  const CudaState& state = context.state();
  let_wait(state.copies, stream, state.launched);
  check(cudaMemcpyAsync(destination, staged, bytes, cudaMemcpyHostToDevice, state.copies), "copy to the GPU");
  let_wait(stream, state.copies, state.copied);
}

void memory_download(CudaContext& context, void* staged, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the GPU is read by the host");
  if (bytes == 0) return;
  const cudaStream_t stream = stream_of(context);
  const CudaState& state = context.state();
  let_wait(state.copies, stream, state.launched);
  check(cudaMemcpyAsync(staged, source, bytes, cudaMemcpyDeviceToHost, state.copies), "copy from the GPU");
}

void memory_wait(CudaContext& context) {
  refuse_capture(context, "the host waits for transfers");
  stream_of(context);
  check(cudaStreamSynchronize(context.state().copies), "a kernel or a transfer failed");
}

}  // namespace tessera
