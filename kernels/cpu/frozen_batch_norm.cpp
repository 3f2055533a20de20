#include "kernels/frozen_batch_norm.h"

#include <cmath>

namespace tessera {

void frozen_batch_norm_affine(CpuContext&, const FrozenBatchNormArgs& args) {
  for (int64_t c = 0; c < args.channels; ++c) {
    const double scale = args.weight[c] / std::sqrt(static_cast<double>(args.variance[c]) + args.epsilon);
    args.scale[c] = static_cast<float>(scale);
    args.shift[c] = static_cast<float>(args.bias[c] - args.mean[c] * scale);
  }
}

}  // namespace tessera
