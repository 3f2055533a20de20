// Four elements per thread, see elementwise.h. Forward moves 8 bytes per element, backward 12: bandwidth is the limit.
#include "kernels/sigmoid.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/logistic.h"

namespace tessera {

namespace {

struct Sigmoid {
  __device__ float operator()(float x) const { return logistic(x); }
};

struct SigmoidGradient {
  __device__ float operator()(float y, float dy) const { return dy * y * (1.0f - y); }
};

}  // namespace

void sigmoid_forward(DeviceContext& context, const SigmoidForwardArgs& args) {
  launch_elementwise(context, Sigmoid{}, args.y, args.count, args.x);
}

void sigmoid_backward(DeviceContext& context, const SigmoidBackwardArgs& args) {
  launch_elementwise(context, SigmoidGradient{}, args.dx, args.count, args.y, args.dy);
}

}  // namespace tessera
