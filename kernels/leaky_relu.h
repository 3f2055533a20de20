// y = x where x > 0, slope * x elsewhere, with 0 < slope; dx = dy where y > 0, slope * dy elsewhere. The sign of y is
// that of x, so y is enough for the gradient.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct LeakyReluForwardArgs {
  const float* x;  // [count]
  float* y;        // [count]; may be x
  int64_t count;
  float slope;
};

struct LeakyReluBackwardArgs {
  const float* y;   // [count], output of forward
  const float* dy;  // [count]
  float* dx;        // [count]; may be dy
  int64_t count;
  float slope;
};

TESSERA_KERNEL(leaky_relu_forward, LeakyReluForwardArgs);
TESSERA_KERNEL(leaky_relu_backward, LeakyReluBackwardArgs);

}  // namespace tessera
