#include "kernels/leaky_relu.h"

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {
constexpr int64_t kGrain = 1 << 15;
}

void leaky_relu_forward(CpuContext& context, const LeakyReluForwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
    const float slope = args.slope;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.y[i] = args.x[i] > 0.0f ? args.x[i] : slope * args.x[i];
  });
}

void leaky_relu_backward(CpuContext& context, const LeakyReluBackwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
    const float slope = args.slope;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.dx[i] = args.y[i] > 0.0f ? args.dy[i] : slope * args.dy[i];
  });
}

}  // namespace tessera
