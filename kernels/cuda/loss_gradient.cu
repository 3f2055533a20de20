// Four elements per thread, see elementwise.h. 8 bytes per element. The cotangent stays on the device, so a factor of
// one is multiplied like any other: asking for it would cost a wait of the host.
#include "kernels/loss_gradient.h"

#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

struct ScaleByCotangent {
  const float* cotangent;
  __device__ float operator()(float gradient) const { return gradient * *cotangent; }
};

}  // namespace

void loss_gradient_scale(DeviceContext& context, const LossGradientScaleArgs& args) {
  launch_elementwise(context, ScaleByCotangent{args.cotangent}, args.gradient, args.count, args.gradient);
}

}  // namespace tessera
