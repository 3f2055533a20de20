// y = activation(scale * x) with a learned scalar, on one level of a pyramid:
//     g = dy (none), dy where y > 0 (relu), dy * y (exp);   dx = g * scale;   dscale = sum g * x
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

enum class ScaleActivation : uint8_t { none, relu, exp };

struct ScaleLevelForwardArgs {
  const float* x;      // [count]
  const float* scale;  // [1]
  float* y;            // [count]; may be x
  int64_t count;
  ScaleActivation activation;
};

struct ScaleLevelBackwardArgs {
  const float* x;      // [count]; nullptr when dscale is
  const float* y;      // [count], output of forward; nullptr without activation
  const float* scale;  // [1]
  const float* dy;     // [count]
  float* dx;           // [count], nullptr: not wanted; may be dy
  float* dscale;       // [1], nullptr: not wanted
  int64_t count;
  ScaleActivation activation;
};

TESSERA_KERNEL(scale_level_forward, ScaleLevelForwardArgs);
TESSERA_KERNEL(scale_level_backward, ScaleLevelBackwardArgs);

}  // namespace tessera
