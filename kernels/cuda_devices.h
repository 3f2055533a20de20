// The GPUs that the CUDA runtime of this machine shows. Part of builds that found a CUDA toolkit.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tessera {

struct CudaDevice {
  std::string name;
  int major, minor;  // compute capability
  int processors;    // streaming multiprocessors
  size_t bytes;      // of memory
};

// Empty without a driver or a GPU, whatever the reason.
std::vector<CudaDevice> find_cuda_devices();

// How many there are, without asking anything else of them.
int count_cuda_devices();

}  // namespace tessera
