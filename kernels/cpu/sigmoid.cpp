#include "kernels/sigmoid.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

void sigmoid_forward(CpuContext& context, const SigmoidForwardArgs& args) {
  parallel_for(context, args.count, 1 << 14, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.y[i] = vector_sigmoid(args.x[i]);
  });
}

void sigmoid_backward(CpuContext& context, const SigmoidBackwardArgs& args) {
  parallel_for(context, args.count, 1 << 15, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.dx[i] = args.dy[i] * args.y[i] * (1.0f - args.y[i]);
  });
}

}  // namespace tessera
