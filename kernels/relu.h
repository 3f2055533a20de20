// y = max(x, 0) and its gradient dx = dy where y > 0, else 0.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct ReluForwardArgs {
  const float* x;  // [count]
  float* y;        // [count]; may be x
  int64_t count;
};

struct ReluBackwardArgs {
  const float* y;   // [count], output of forward
  const float* dy;  // [count]
  float* dx;        // [count]; may be dy
  int64_t count;
};

TESSERA_KERNEL(relu_forward, ReluForwardArgs);
TESSERA_KERNEL(relu_backward, ReluBackwardArgs);

}  // namespace tessera
