// Speed of convolutions; on the CPU against the machine's own peak of multiply-adds, measured between the calls, on a
// GPU by its own clock and beside NVIDIA's libraries.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/bench_shapes.h"
#include "apps/timing.h"
#include "kernels/context.h"

namespace tessera {

struct BenchOpsOptions {
  std::string filter;                   // only shapes whose group or description contains it
  double seconds = 0.3;                 // of measuring per row and pass, at least three calls; on a GPU 50 calls
  std::vector<BenchShape> shapes = {};  // instead of those of bench_shapes.h
  std::function<void(int64_t)> on_row;  // called after each shape with their number so far
};

// The same passes by a library of NVIDIA's, as a yardstick: sums alone, without an epilogue.
struct LibraryBench {
  std::string name;                                // "cudnn", "cublas"
  Timing forward, data_gradient, weight_gradient;  // 0 where it has no way to do the pass
};

struct ConvolutionBench {
  std::string
      group;  // "detector" (ResNet-50, FPN, FCOS at 800 x 1344, batch 1), "grouped", "small" (training, batch 8)
  std::string description;
  int64_t macs = 0;  // of one pass
  Timing forward;    // with bias and ReLU
  Timing bare;       // without; on devices alone, beside libraries that have no epilogue
  Timing data_gradient, weight_gradient;
  std::vector<LibraryBench> libraries;  // those that do one of the passes

  // 1e9 floating point operations per second, two per multiply-add, of the fastest call.
  double gigaflops(const Timing& pass) const { return 2e-9 * static_cast<double>(macs) / pass.fastest; }
};

struct OpsBench {
  int threads = 0;            // of the CPU; 0 on a device
  double fma_peak = 0;        // 1e9 floating point operations per second at the beginning; 0 on a device: not measured
  double copy_bandwidth = 0;  // 1e9 bytes per second read plus written; 0 on a device
  std::vector<ConvolutionBench> convolutions;
};

OpsBench bench_ops(Context& context, const BenchOpsOptions& options = {});

void print_ops_bench(const OpsBench& result);
std::string ops_bench_json(const OpsBench& result);

}  // namespace tessera
