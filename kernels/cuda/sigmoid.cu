// Four elements per thread, see elementwise.h. Forward moves 8 bytes per element, backward 12: bandwidth is the limit.
// expf, not __expf: the fast one loses relative precision for large |x|.
#include "kernels/sigmoid.h"

#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

// Full relative precision in the lower tail, where 1 - y would lose it.
struct Sigmoid {
  __device__ float operator()(float x) const {
    const float small = expf(-fabsf(x));
    const float upper = 1.0f / (1.0f + small);
    return x < 0.0f ? small * upper : upper;
  }
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
