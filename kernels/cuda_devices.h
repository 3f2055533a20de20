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

// Seconds that the GPU spends on what `work` launches on the context's stream; waits for it.
double device_seconds(CudaContext& context, const std::function<void()>& work);

}  // namespace tessera
