// One thread per channel; the variance comes back from rstd in double, where 1 / rstd^2 - epsilon cancels least.
// 24 bytes per channel: a launch is all it costs.
#include "kernels/batch_norm.h"

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kBatchNormThreads = 128;

__global__ void __launch_bounds__(kBatchNormThreads) update_kernel(BatchNormUpdateArgs args, double correction) {
  for_each_element(args.channels, [&](int64_t c) {
    const double rstd = args.rstd[c];
    const double biased = 1.0 / (rstd * rstd) - args.epsilon;
    const float variance = static_cast<float>((biased > 0 ? biased : 0) * correction);
    args.running_mean[c] += args.momentum * (args.mean[c] - args.running_mean[c]);
    args.running_variance[c] += args.momentum * (variance - args.running_variance[c]);
  });
}

}  // namespace

void batch_norm_update(DeviceContext& context, const BatchNormUpdateArgs& args) {
  const double count = static_cast<double>(args.count);
  const double correction = args.count > 1 ? count / (count - 1) : 1.0;
  launch(update_kernel, grid_for(args.channels, kBatchNormThreads), kBatchNormThreads, 0, context, args, correction);
}

}  // namespace tessera
