#include "kernels/gelu.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kGrain = 1 << 13;

// Phi(x), given gauss = exp(-x^2 / 2). The upper tail 1 - Phi(|x|) is gauss times a rational polynomial (Abramowitz and
// Stegun 7.1.26, absolute error below 1e-7), so it keeps its digits where it is small.
[[gnu::always_inline]] inline float normal_distribution(float x, float gauss) {
  const float z = std::fabs(x) * 0.70710678118654752f;
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  float polynomial = 1.061405429f;
  polynomial = polynomial * t - 1.453152027f;
  polynomial = polynomial * t + 1.421413741f;
  polynomial = polynomial * t - 0.284496736f;
  polynomial = polynomial * t + 0.254829592f;
  const float tail = 0.5f * polynomial * t * gauss;
  return x < 0.0f ? tail : 1.0f - tail;
}

}  // namespace

void gelu_forward(CpuContext& context, const GeluForwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float x = args.x[i];
      args.y[i] = x * normal_distribution(x, vector_exp(-0.5f * x * x));
    }
  });
}

void gelu_backward(CpuContext& context, const GeluBackwardArgs& args) {
  constexpr float kInverseRootTwoPi = 0.39894228040143268f;
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float x = args.x[i];
      const float gauss = vector_exp(-0.5f * x * x);
      args.dx[i] = args.dy[i] * (normal_distribution(x, gauss) + kInverseRootTwoPi * x * gauss);
    }
  });
}

}  // namespace tessera
