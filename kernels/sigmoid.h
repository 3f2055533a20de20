// y = 1 / (1 + exp(-x)) and dx = dy * y * (1 - y).
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct SigmoidForwardArgs {
  const float* x;  // [count]
  float* y;        // [count]; may be x
  int64_t count;
};

struct SigmoidBackwardArgs {
  const float* y;   // [count], output of forward
  const float* dy;  // [count]
  float* dx;        // [count]; may be dy
  int64_t count;
};

TESSERA_KERNEL(sigmoid_forward, SigmoidForwardArgs);
TESSERA_KERNEL(sigmoid_backward, SigmoidBackwardArgs);

}  // namespace tessera
