// Time on a GPU, by its own clock. Part of builds that found a CUDA toolkit.
#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/cuda/state.h"
#include "kernels/cuda_devices.h"
#include "kernels/launch_graph.h"

namespace tessera {

namespace {

constexpr size_t kEvictedBytes = size_t{256} << 20;  // more than the second-level cache of any card

struct Event {
  cudaEvent_t event = nullptr;
  Event() { check_cuda(cudaEventCreate(&event), "an event"); }
  ~Event() { cudaEventDestroy(event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

// Memory to write over, of the driver itself, so that no statistics of the allocator change. None where there is none:
// the calls are timed all the same.
class Eviction {
 public:
  Eviction() {
    if (cudaMalloc(&memory_, kEvictedBytes) != cudaSuccess) {
      cudaGetLastError();
      memory_ = nullptr;
    }
  }
  ~Eviction() { cudaFree(memory_); }
  Eviction(const Eviction&) = delete;
  Eviction& operator=(const Eviction&) = delete;

  void run(cudaStream_t stream, int value) const {
    if (memory_ == nullptr) return;
    check_cuda(cudaMemsetAsync(memory_, value & 255, kEvictedBytes, stream), "clearing memory");
  }

 private:
  void* memory_ = nullptr;
};

}  // namespace

std::vector<double> device_seconds(CudaContext& context, int calls, const std::function<void()>& work) {
  if (context.capturing()) throw CaptureRefused("time is taken");
  const cudaStream_t stream = stream_of(context);
  const Eviction eviction;
  std::vector<Event> begins(static_cast<size_t>(calls)), ends(static_cast<size_t>(calls));
  for (size_t call = 0; call < begins.size(); ++call) {
    eviction.run(stream, static_cast<int>(call));
    check_cuda(cudaEventRecord(begins[call].event, stream), "recording an event");
    work();
    check_cuda(cudaEventRecord(ends[call].event, stream), "recording an event");
  }
  context.synchronize();
  std::vector<double> seconds;
  for (size_t call = 0; call < begins.size(); ++call) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, begins[call].event, ends[call].event), "reading a clock");
    seconds.push_back(1e-3 * milliseconds);
  }
  return seconds;
}

}  // namespace tessera
