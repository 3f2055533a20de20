// y = factor * x; also its own backward.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct ScaleForwardArgs {
  const float* x;  // [count]
  float* y;        // [count]; may be x
  int64_t count;
  float factor;
};

TESSERA_KERNEL(scale_forward, ScaleForwardArgs);

}  // namespace tessera
