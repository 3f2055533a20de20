// Sum of x * x in double precision: the squared norm of the gradients. Partial sums of fixed chunks are added in order,
// so the result has the same bits for any number of threads.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct SumOfSquaresArgs {
  const float* x;  // [count]
  int64_t count;
  double* sum;  // host memory, one element
};

TESSERA_KERNEL(sum_of_squares, SumOfSquaresArgs);

}  // namespace tessera
