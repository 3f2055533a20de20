// y[j] = x[index[j]] for rows of C values; dx[r] = sum of dy[j] over the j with index[j] = r, in the order of j.
// Indices may repeat. An index outside [0, rows) makes that row of y NaN and gets no gradient, on every backend: a
// device would have to wait to throw, and a NaN stops training at the loss.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct RowGatherForwardArgs {
  const float* x;        // [rows, channels]
  const int32_t* index;  // [count]
  float* y;              // [count, channels]
  int64_t rows;
  int64_t count;
  int64_t channels;
};

struct RowGatherBackwardArgs {
  const float* dy;       // [count, channels]
  const int32_t* index;  // [count]
  float* dx;             // [rows, channels], overwritten
  int64_t rows;
  int64_t count;
  int64_t channels;
};

TESSERA_KERNEL(row_gather_forward, RowGatherForwardArgs);
TESSERA_KERNEL(row_gather_backward, RowGatherBackwardArgs);

}  // namespace tessera
