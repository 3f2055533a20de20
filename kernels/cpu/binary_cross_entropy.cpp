#include "kernels/binary_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/chunked_sum.h"

namespace tessera {

void binary_cross_entropy(CpuContext& context, const BinaryCrossEntropyArgs& args) {
  const double sum = chunked_sum(context, args.count, 4096, [&](int64_t begin, int64_t end) {
    double partial = 0;
    for (int64_t i = begin; i < end; ++i) {
      const double z = args.logits[i], t = args.targets[i];
      const double e = std::exp(-std::abs(z));
      partial += std::max(z, 0.0) + std::log1p(e) - t * z;
      if (args.gradient != nullptr) {
        const double p = (z >= 0 ? 1.0 : e) / (1.0 + e);
        args.gradient[i] = static_cast<float>((p - t) * args.scale);
      }
    }
    return partial;
  });
  args.loss[0] = static_cast<float>(sum * args.scale);
}

}  // namespace tessera
