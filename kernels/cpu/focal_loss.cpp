#include "kernels/focal_loss.h"

#include <cmath>

#include "kernels/cpu/chunked_sum.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

// With u = logit for the wrong classes and -logit for the right one, every term is w s^gamma softplus(u),
// s = sigmoid(u), and its derivative by u is w s^gamma (gamma (1 - s) softplus(u) + s).
// kSquare: gamma is 2, the usual case. Returns the sum over one row; 80 terms keep to float.
template <bool kSquare, bool kGradient>
float focal_row(const FocalLossArgs& args, const float* logits, int32_t label, float* gradient) {
  const float right = args.alpha, wrong = 1.0f - args.alpha, gamma = args.gamma, scale = args.scale;
  const auto classes = static_cast<int32_t>(args.classes);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int32_t k = 0; k < classes; ++k) {
    const float sign = k == label ? -1.0f : 1.0f;
    const float weight = k == label ? right : wrong;
    const float u = sign * logits[k];
    const float small = vector_exp(-std::fabs(u));
    const float upper = 1.0f / (1.0f + small);
    const float s = u < 0.0f ? small * upper : upper;
    const float softplus = (u < 0.0f ? 0.0f : u) + vector_log1p_unit(small);
    // ln s = u - softplus(u)
    const float modulation = weight * (kSquare ? s * s : vector_exp(gamma * (u - softplus)));
    sum += modulation * softplus;
    if (kGradient) gradient[k] = scale * sign * modulation * (gamma * (1.0f - s) * softplus + s);
  }
  return sum;
}

template <bool kSquare, bool kGradient>
double focal_rows(const FocalLossArgs& args, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t row = begin; row < end; ++row) {
    float* gradient = kGradient ? args.gradient + row * args.classes : nullptr;
    if (args.labels[row] < 0) {
      if (kGradient) std::fill_n(gradient, args.classes, 0.0f);
      continue;
    }
    sum += focal_row<kSquare, kGradient>(args, args.logits + row * args.classes, args.labels[row], gradient);
  }
  return sum;
}

}  // namespace

void focal_loss(CpuContext& context, const FocalLossArgs& args) {
  const bool square = args.gamma == 2.0f, gradient = args.gradient != nullptr;
  const double sum = chunked_sum(context, args.rows, 256, [&](int64_t begin, int64_t end) {
    if (square) return gradient ? focal_rows<true, true>(args, begin, end) : focal_rows<true, false>(args, begin, end);
    return gradient ? focal_rows<false, true>(args, begin, end) : focal_rows<false, false>(args, begin, end);
  });
  args.loss[0] = static_cast<float>(sum * args.scale);
}

}  // namespace tessera
