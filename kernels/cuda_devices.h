// The GPUs that the CUDA runtime of this machine shows. Part of builds that found a CUDA toolkit.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/device_failure.h"

namespace tessera {

class CudaContext;

struct CudaDevice {
  std::string name;
  int major, minor;  // compute capability
  int processors;    // streaming multiprocessors
  size_t bytes;      // of memory
};

// Empty without a driver or a GPU, whatever the reason.
std::vector<CudaDevice> find_cuda_devices();

// For explain_cuda, about one GPU.
CudaFacts find_cuda_facts(int index);

// Seconds that the GPU spends on what `work` launches on the context's stream, for each of so many calls; waits for
// them. The calls are queued, each behind a pass over more memory than any second-level cache holds: operands come
// from memory, as between the layers of a network, and meanwhile the host launches what follows, so that its own time
// does not count. tools/gpu_check_torch.py times PyTorch in the same way.
std::vector<double> device_seconds(CudaContext& context, int calls, const std::function<void()>& work);

}  // namespace tessera
