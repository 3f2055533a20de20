// sum = a + b, optionally rectified: the residual connection, and the accumulation of gradients.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct AddForwardArgs {
  const float* a;  // [count]
  const float* b;  // [count]
  float* sum;      // [count]; may be a or b
  int64_t count;
  bool relu;  // sum = max(a + b, 0)
};

TESSERA_KERNEL(add_forward, AddForwardArgs);

}  // namespace tessera
