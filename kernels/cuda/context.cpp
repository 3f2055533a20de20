// The CUDA runtime behind CudaContext: one stream, and memory that is kept when freed. Compiled where a toolkit is
// found.
#include "kernels/context.h"

#include <cuda_runtime_api.h>

#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda_devices.h"
#include "kernels/memory.h"

namespace tessera {

namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that does not stick is not to be met again by the next call
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// The stream of the context. Chooses its GPU for the calling thread: a thread starts with the first one.
cudaStream_t stream_of(CudaContext& context) {
  check(cudaSetDevice(context.index()), "choosing the GPU");
  return static_cast<cudaStream_t>(context.stream());
}

// Keeps freed blocks by size class: cudaMalloc waits for the device. Safe because a context has one stream, so what
// still uses a block runs before what gets it next.
class CudaAllocator final : public Allocator {
 public:
  explicit CudaAllocator(int index) : index_(index) {}
  ~CudaAllocator() override { drop_kept(); }

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
    if (cudaMalloc(&block, size) == cudaSuccess) return block;
    cudaGetLastError();
    drop_kept();
    check(cudaMalloc(&block, size), "memory of the GPU");
    return block;
  }

  void give_back(void* block, size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    kept_[size_class(bytes)].push_back(block);
  }

 private:
  // 512 bytes at least, then eight steps per power of two.
  static size_t size_class(size_t bytes) {
    size_t power = 512;
    while (power * 2 <= bytes) power *= 2;
    const size_t step = power > 512 ? power / 8 : 512;
    return bytes <= 512 ? 512 : (bytes + step - 1) / step * step;
  }

  void drop_kept() noexcept {
    std::lock_guard lock(mutex_);
    cudaDeviceSynchronize();
    for (auto& [size, blocks] : kept_) {
      for (void* block : blocks) cudaFree(block);
    }
    kept_.clear();
  }

  int index_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> kept_;
};

}  // namespace

int count_cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::vector<CudaDevice> find_cuda_devices() {
  std::vector<CudaDevice> devices;
  for (int index = 0; index < count_cuda_devices(); ++index) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) break;
    devices.push_back({properties.name, properties.major, properties.minor, properties.multiProcessorCount,
                       properties.totalGlobalMem});
  }
  return devices;
}

CudaContext::CudaContext(int index) : Context(Backend::cuda, std::make_shared<CudaAllocator>(index)), index_(index) {
  const int devices = count_cuda_devices();
  if (index >= devices) {
    throw std::runtime_error(devices == 0 ? std::string("no GPU that a driver shows")
                                          : "there are " + std::to_string(devices) + " GPUs, counted from 0");
  }
  check(cudaSetDevice(index), "choosing the GPU");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  stream_ = stream;
}

CudaContext::~CudaContext() {
  const cudaStream_t stream = static_cast<cudaStream_t>(stream_);
  cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
}

void CudaContext::synchronize() {
  check(cudaStreamSynchronize(stream_of(*this)), "a kernel failed (CUDA_LAUNCH_BLOCKING=1 names its launch)");
}

double device_seconds(CudaContext& context, const std::function<void()>& work) {
  struct Event {
    cudaEvent_t event = nullptr;
    Event() { check(cudaEventCreate(&event), "an event"); }
    ~Event() { cudaEventDestroy(event); }
  };
  const cudaStream_t stream = stream_of(context);
  const Event begin, end;
  check(cudaEventRecord(begin.event, stream), "recording an event");
  work();
  check(cudaEventRecord(end.event, stream), "recording an event");
  context.synchronize();
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.event, end.event), "reading a clock");
  return 1e-3 * milliseconds;
}

void memory_zero(CudaContext& context, void* destination, size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(destination, 0, bytes, stream_of(context)), "clearing memory");
}

void memory_copy(CudaContext& context, void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream_of(context)), "copying memory");
}

void memory_from_host(CudaContext& context, void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  // From pageable memory this returns when the bytes are staged.
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream_of(context)), "copy to the GPU");
}

void memory_to_host(CudaContext& context, void* destination, const void* source, size_t bytes) {
  if (bytes > 0) {
    check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToHost, stream_of(context)), "copy from the GPU");
  }
  context.synchronize();
}

}  // namespace tessera
