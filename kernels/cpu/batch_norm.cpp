#include "kernels/batch_norm.h"

#include <algorithm>

namespace tessera {

void batch_norm_update(CpuContext&, const BatchNormUpdateArgs& args) {
  const double count = static_cast<double>(args.count);
  const double correction = args.count > 1 ? count / (count - 1) : 1.0;
  for (int64_t c = 0; c < args.channels; ++c) {
    const double rstd = args.rstd[c];
    const double variance = std::max(0.0, 1.0 / (rstd * rstd) - args.epsilon) * correction;
    args.running_mean[c] += args.momentum * (args.mean[c] - args.running_mean[c]);
    args.running_variance[c] += args.momentum * (static_cast<float>(variance) - args.running_variance[c]);
  }
}

}  // namespace tessera
