#include "kernels/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/chunked_sum.h"

namespace tessera {

namespace {

// The greatest logit of a row and the sum of e^(z - greatest).
std::pair<float, double> softmax_divisor(const float* logits, int64_t classes) {
  const float greatest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(logits[k] - greatest));
  return {greatest, sum};
}

}  // namespace

void softmax_cross_entropy(CpuContext& context, const SoftmaxCrossEntropyArgs& args) {
  const double total = chunked_sum(context, args.rows, 64, [&](int64_t begin, int64_t end) {
    double partial = 0;
    for (int64_t row = begin; row < end; ++row) {
      const float* logits = args.logits + row * args.classes;
      float* gradient = args.gradient == nullptr ? nullptr : args.gradient + row * args.classes;
      const int32_t label = args.labels[row];
      if (label < 0) {
        if (gradient != nullptr) std::fill(gradient, gradient + args.classes, 0.0f);
        continue;
      }
      if (label >= args.classes) {
        partial = std::numeric_limits<double>::quiet_NaN();
        if (gradient != nullptr) std::fill(gradient, gradient + args.classes, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const auto [greatest, sum] = softmax_divisor(logits, args.classes);
      partial += std::log(sum) + static_cast<double>(greatest) - static_cast<double>(logits[label]);
      if (gradient == nullptr) continue;
      for (int64_t k = 0; k < args.classes; ++k) {
        const double p = std::exp(static_cast<double>(logits[k] - greatest)) / sum;
        gradient[k] = static_cast<float>((p - (k == label ? 1.0 : 0.0)) * static_cast<double>(args.scale));
      }
    }
    return partial;
  });
  args.loss[0] = static_cast<float>(total * args.scale);
}

void softmax(CpuContext& context, const SoftmaxArgs& args) {
  parallel_for(context, args.rows, 256, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* logits = args.logits + row * args.classes;
      const auto [greatest, sum] = softmax_divisor(logits, args.classes);
      for (int64_t k = 0; k < args.kept; ++k) {
        args.probabilities[row * args.kept + k] =
            static_cast<float>(std::exp(static_cast<double>(logits[k] - greatest)) / sum);
      }
    }
  });
}

}  // namespace tessera
