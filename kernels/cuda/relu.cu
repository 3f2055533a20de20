// One thread per four elements (per element where the pointers do not allow that), grid-stride. Backward reads 8 and
// writes 4 bytes per element, forward 4 and 4: bandwidth is the limit.
#include "kernels/relu.h"

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kReluThreads = 256;

// fmaxf would turn a NaN into zero; the maximum of the CPU and of PyTorch keeps it.
__device__ __forceinline__ float rectified(float x) { return x < 0.0f ? 0.0f : x; }
__device__ __forceinline__ float passed(float y, float dy) { return y > 0.0f ? dy : 0.0f; }

template <bool vector>
__global__ void __launch_bounds__(kReluThreads) relu_forward_kernel(const float* x, float* y, int64_t count) {
  if constexpr (vector) {
    for_each_element(count / 4, [&](int64_t i) {
      const float4 v = load4(x + 4 * i);
      store4(y + 4 * i, make_float4(rectified(v.x), rectified(v.y), rectified(v.z), rectified(v.w)));
    });
  } else {
    for_each_element(count, [&](int64_t i) { y[i] = rectified(x[i]); });
  }
}

template <bool vector>
__global__ void __launch_bounds__(kReluThreads)
    relu_backward_kernel(const float* y, const float* dy, float* dx, int64_t count) {
  if constexpr (vector) {
    for_each_element(count / 4, [&](int64_t i) {
      const float4 v = load4(y + 4 * i), d = load4(dy + 4 * i);
      store4(dx + 4 * i, make_float4(passed(v.x, d.x), passed(v.y, d.y), passed(v.z, d.z), passed(v.w, d.w)));
    });
  } else {
    for_each_element(count, [&](int64_t i) { dx[i] = passed(y[i], dy[i]); });
  }
}

}  // namespace

void relu_forward(DeviceContext& context, const ReluForwardArgs& args) {
  if (aligned4(args.count, args.x, args.y)) {
    launch(relu_forward_kernel<true>, grid_for(args.count / 4, kReluThreads), kReluThreads, 0, context, args.x, args.y,
           args.count);
  } else {
    launch(relu_forward_kernel<false>, grid_for(args.count, kReluThreads), kReluThreads, 0, context, args.x, args.y,
           args.count);
  }
}

void relu_backward(DeviceContext& context, const ReluBackwardArgs& args) {
  if (aligned4(args.count, args.y, args.dy, args.dx)) {
    launch(relu_backward_kernel<true>, grid_for(args.count / 4, kReluThreads), kReluThreads, 0, context, args.y,
           args.dy, args.dx, args.count);
  } else {
    launch(relu_backward_kernel<false>, grid_for(args.count, kReluThreads), kReluThreads, 0, context, args.y, args.dy,
           args.dx, args.count);
  }
}

}  // namespace tessera
