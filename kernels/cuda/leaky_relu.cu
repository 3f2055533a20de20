// Four elements per thread, see elementwise.h. Forward moves 8 bytes per element, backward 12: bandwidth is the limit.
#include "kernels/leaky_relu.h"

#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

struct LeakyRelu {
  float slope;
  __device__ float operator()(float x) const { return x > 0.0f ? x : slope * x; }
};

struct LeakyReluGradient {
  float slope;
  __device__ float operator()(float y, float dy) const { return y > 0.0f ? dy : slope * dy; }
};

}  // namespace

void leaky_relu_forward(DeviceContext& context, const LeakyReluForwardArgs& args) {
  launch_elementwise(context, LeakyRelu{args.slope}, args.y, args.count, args.x);
}

void leaky_relu_backward(DeviceContext& context, const LeakyReluBackwardArgs& args) {
  launch_elementwise(context, LeakyReluGradient{args.slope}, args.dx, args.count, args.y, args.dy);
}

}  // namespace tessera
