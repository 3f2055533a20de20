// How many warps of the main kernels a multiprocessor can hold, by the calculator of the CUDA toolkit: a prediction
// from registers, shared memory and threads, for which no GPU is needed. Part of builds that found a toolkit.
#pragma once

#include <string>
#include <vector>

namespace tessera {

struct KernelResources {
  const char* kernel;  // as tools/check_kernel_budgets.sh --table prints it, from the beginning
  int registers;       // of a thread
  int shared_bytes;    // of a block, static and dynamic
  int threads;         // of a block
};

struct KernelOccupancy {
  KernelResources resources;
  int blocks = 0;     // that one multiprocessor holds
  double warps = 0;   // share of the warps that it could hold, 0 to 1
  std::string limit;  // what keeps out another block: "registers", "shared memory", "warps", "blocks"
};

// On compute capability 8.6. Throws std::invalid_argument for resources that no launch may have.
KernelOccupancy predict_occupancy(const KernelResources& resources);

// Of the kernels in kernels/cuda/occupancy.inc.
std::vector<KernelOccupancy> predict_occupancies();

}  // namespace tessera
