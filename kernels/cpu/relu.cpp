#include "kernels/relu.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {
constexpr int64_t kGrain = 1 << 15;
}

void relu_forward(CpuContext& context, const ReluForwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.y[i] = std::max(args.x[i], 0.0f);
  });
}

void relu_backward(CpuContext& context, const ReluBackwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.dx[i] = args.y[i] > 0.0f ? args.dy[i] : 0.0f;
  });
}

}  // namespace tessera
