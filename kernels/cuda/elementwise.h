// y[i] = op(a[i], b[i], ...) over flat arrays: one thread per four elements, 16 bytes at a time where all addresses
// allow it, grid-stride. Every input element is read once and every output element written once, so bandwidth is the
// limit. y may be one of the inputs.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kElementwiseThreads = 256;

// Op: an object with `__device__ float operator()(float, ...) const`, copied to the device.
template <bool vector, typename Op, typename... Inputs>
__global__ void __launch_bounds__(kElementwiseThreads)
    elementwise_kernel(Op op, float* y, int64_t count, const Inputs*... inputs) {
  for_each_element(ceil_div(count, 4), [&](int64_t quad) {
    const int64_t begin = 4 * quad;
    if (vector && begin + 4 <= count) {
      store4(y + begin, [&](auto... v) {
        return make_float4(op(v.x...), op(v.y...), op(v.z...), op(v.w...));
      }(load4(inputs + begin)...));
    } else {
      const int64_t end = begin + 4 < count ? begin + 4 : count;
      for (int64_t i = begin; i < end; ++i) y[i] = op(inputs[i]...);
    }
  });
}

template <typename Op, typename... Inputs>
void launch_elementwise(LaunchSite site, Op op, float* y, int64_t count, const Inputs*... inputs) {
  const unsigned blocks = grid_for(ceil_div(count, 4), kElementwiseThreads);
  if (aligned4(0, y, inputs...)) {
    launch(elementwise_kernel<true, Op, Inputs...>, blocks, kElementwiseThreads, 0, site, op, y, count, inputs...);
  } else {
    launch(elementwise_kernel<false, Op, Inputs...>, blocks, kElementwiseThreads, 0, site, op, y, count, inputs...);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
