// Speed of the operations beside single convolutions, on inputs as large as a detector of pictures of a size has them:
// what tools/gpu_check_torch.py measures of PyTorch under the same names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/timing.h"

namespace tessera {

struct KernelBench {
  std::string name;
  std::string description;  // sizes
  double macs = 0;          // multiply-adds of `forward`, where it multiplies; 0 elsewhere
  Timing forward;
  Timing training;  // forward on a recording tape, then backward to every input; 0 where there is no gradient
};

struct BenchKernelsOptions {
  std::string filter;  // only those whose name contains it
  int height = 800, width = 1344;
  double seconds = 0.3;  // of measuring per row, at least three calls; on a GPU 50 calls
};

std::vector<KernelBench> bench_kernels(Context& context, const BenchKernelsOptions& options);

void print_kernels_bench(const std::vector<KernelBench>& rows);

}  // namespace tessera
