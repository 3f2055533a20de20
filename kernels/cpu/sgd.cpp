#include "kernels/sgd.h"

#include "kernels/cpu/parallel.h"

namespace tessera {

void sgd_step(CpuContext& context, const SgdStepArgs& args) {
  const SgdStepArgs a = args;
  parallel_for(context, a.count / kSgdBlock, 1 << 11, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const float decay = a.decayed[block] ? a.weight_decay : 0.0f;
      float* value = a.value + block * kSgdBlock;
      const float* gradient = a.gradient + block * kSgdBlock;
      float* momentum = a.momentum + block * kSgdBlock;
#pragma omp simd
      for (int64_t i = 0; i < kSgdBlock; ++i) {
        const float step = a.momentum_factor * momentum[i] + (a.gradient_scale * gradient[i] + decay * value[i]);
        momentum[i] = step;
        value[i] -= a.learning_rate * step;
      }
    }
  });
}

}  // namespace tessera
