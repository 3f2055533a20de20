// Forward and dbranch: four elements per thread, see elementwise.h; 8 + 4 B bytes per element of B branches, and 8.
// dgate: the sum of dy * f in chunks, see chunked_sum.h; 8 bytes per element. Bandwidth is the limit everywhere.
#include "kernels/gated_sum.h"

#include "kernels/cuda/chunked_sum.h"
#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

struct Gates {
  const float* gate[kMaxGatedBranches];

  template <typename... Branches>
  __device__ float operator()(float x, Branches... branch) const {
    float sum = x;
    int b = 0;
    ((sum += *gate[b++] * branch), ...);
    return sum;
  }
};

struct ScaleByGate {
  const float* gate;
  __device__ float operator()(float dy) const { return *gate * dy; }
};

struct Product {
  const float* a;
  const float* b;
  __device__ float operator()(int64_t i) const { return a[i] * b[i]; }
};

}  // namespace

void gated_sum_forward(DeviceContext& context, const GatedSumForwardArgs& args) {
  Gates gates{};
  for (int b = 0; b < args.branch_count; ++b) gates.gate[b] = args.gates[b];
  const auto& f = args.branches;
  switch (args.branch_count) {
    case 1:
      return launch_elementwise(context, gates, args.y, args.count, args.x, f[0]);
    case 2:
      return launch_elementwise(context, gates, args.y, args.count, args.x, f[0], f[1]);
    case 3:
      return launch_elementwise(context, gates, args.y, args.count, args.x, f[0], f[1], f[2]);
    default:
      return launch_elementwise(context, gates, args.y, args.count, args.x, f[0], f[1], f[2], f[3]);
  }
}

void gated_sum_backward(DeviceContext& context, const GatedSumBackwardArgs& args) {
  if (args.dgate != nullptr) launch_sum(context, Product{args.dy, args.branch}, args.count, args.dgate);
  if (args.dbranch != nullptr) {
    launch_elementwise(context, ScaleByGate{args.gate}, args.dbranch, args.count, args.dy);
  }
}

}  // namespace tessera
