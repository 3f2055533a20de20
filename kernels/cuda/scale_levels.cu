// Forward and dx: four elements per thread, see elementwise.h; 8 and 8 to 12 bytes per element.
// dscale: the sum of g * x in chunks, see chunked_sum.h; 8 to 12 bytes per element. Bandwidth is the limit.
#include "kernels/scale_levels.h"

#include "kernels/cuda/chunked_sum.h"
#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

template <ScaleActivation activation>
struct ScaledActivation {
  const float* scale;
  __device__ float operator()(float x) const {
    const float value = *scale * x;
    if constexpr (activation == ScaleActivation::relu) return value < 0.0f ? 0.0f : value;
    if constexpr (activation == ScaleActivation::exp) return expf(value);
    return value;
  }
};

template <ScaleActivation activation>
__device__ __forceinline__ float gradient_before(float dy, float y) {
  if constexpr (activation == ScaleActivation::relu) return y > 0.0f ? dy : 0.0f;
  if constexpr (activation == ScaleActivation::exp) return dy * y;
  return dy;
}

template <ScaleActivation activation>
struct InputGradient {
  const float* scale;
  __device__ float operator()(float dy, float y) const { return *scale * gradient_before<activation>(dy, y); }
  __device__ float operator()(float dy) const { return *scale * dy; }
};

template <ScaleActivation activation>
struct ScaleTerm {
  const float* x;
  const float* y;
  const float* dy;
  __device__ float operator()(int64_t i) const {
    return gradient_before<activation>(dy[i], activation == ScaleActivation::none ? 0.0f : y[i]) * x[i];
  }
};

template <ScaleActivation activation>
void forward(DeviceContext& context, const ScaleLevelForwardArgs& args) {
  launch_elementwise(context, ScaledActivation<activation>{args.scale}, args.y, args.count, args.x);
}

template <ScaleActivation activation>
void backward(DeviceContext& context, const ScaleLevelBackwardArgs& args) {
  if (args.dscale != nullptr) {  // first: dx may overwrite dy
    launch_sum(context, ScaleTerm<activation>{args.x, args.y, args.dy}, args.count, args.dscale);
  }
  if (args.dx == nullptr) return;
  if constexpr (activation == ScaleActivation::none) {
    launch_elementwise(context, InputGradient<activation>{args.scale}, args.dx, args.count, args.dy);
  } else {
    launch_elementwise(context, InputGradient<activation>{args.scale}, args.dx, args.count, args.dy, args.y);
  }
}

}  // namespace

void scale_level_forward(DeviceContext& context, const ScaleLevelForwardArgs& args) {
  switch (args.activation) {
    case ScaleActivation::none:
      return forward<ScaleActivation::none>(context, args);
    case ScaleActivation::relu:
      return forward<ScaleActivation::relu>(context, args);
    case ScaleActivation::exp:
      return forward<ScaleActivation::exp>(context, args);
  }
}

void scale_level_backward(DeviceContext& context, const ScaleLevelBackwardArgs& args) {
  switch (args.activation) {
    case ScaleActivation::none:
      return backward<ScaleActivation::none>(context, args);
    case ScaleActivation::relu:
      return backward<ScaleActivation::relu>(context, args);
    case ScaleActivation::exp:
      return backward<ScaleActivation::exp>(context, args);
  }
}

}  // namespace tessera
