// Gaussian error linear unit (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016), the exact form:
//     y = x Phi(x),   dx = dy (Phi(x) + x phi(x))
// with the standard normal distribution Phi(x) = erfc(-x / sqrt 2) / 2 and density phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct GeluForwardArgs {
  const float* x;  // [count]
  float* y;        // [count]; may be x
  int64_t count;
};

struct GeluBackwardArgs {
  const float* x;   // [count]
  const float* dy;  // [count]
  float* dx;        // [count]; may be dy
  int64_t count;
};

TESSERA_KERNEL(gelu_forward, GeluForwardArgs);
TESSERA_KERNEL(gelu_backward, GeluBackwardArgs);

}  // namespace tessera
