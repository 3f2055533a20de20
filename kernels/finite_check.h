// Counts the elements that are NaN or infinite, and finds the first.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct FiniteCheckArgs {
  const float* x;  // [count]
  int64_t count;
  int64_t* bad;    // host memory, one element: how many are not finite
  int64_t* first;  // host memory, one element: index of the first such, -1 when there is none
};

TESSERA_KERNEL(finite_check, FiniteCheckArgs);

}  // namespace tessera
