#include "kernels/adamw.h"

#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tessera {

void adamw_step(CpuContext& context, const AdamWStepArgs& args) {
  const AdamWStepArgs a = args;
  const float rate = a.learning_rate / a.correction1, root = 1.0f / std::sqrt(a.correction2);
  const float rest1 = 1.0f - a.beta1, rest2 = 1.0f - a.beta2;
  parallel_for(context, a.count / kSgdBlock, 1 << 11, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const float keep = a.decayed[block] ? 1.0f - a.learning_rate * a.weight_decay : 1.0f;
      float* value = a.value + block * kSgdBlock;
      const float* gradient = a.gradient + block * kSgdBlock;
      float *first = a.first + block * kSgdBlock, *second = a.second + block * kSgdBlock;
#pragma omp simd
      for (int64_t i = 0; i < kSgdBlock; ++i) {
        const float g = a.gradient_scale * gradient[i];
        const float m = a.beta1 * first[i] + rest1 * g;
        const float v = a.beta2 * second[i] + rest2 * (g * g);
        first[i] = m;
        second[i] = v;
        value[i] = keep * value[i] - rate * m / (std::sqrt(v) * root + a.epsilon);
      }
    }
  });
}

}  // namespace tessera
