#include "kernels/loss_gradient.h"

#include "kernels/cpu/parallel.h"

namespace tessera {

void loss_gradient_scale(CpuContext& context, const LossGradientScaleArgs& args) {
  const float factor = args.cotangent[0];
  if (factor == 1.0f) return;
  parallel_for(context, args.count, 1 << 15, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.gradient[i] *= factor;
  });
}

}  // namespace tessera
