// Running statistics of batch normalisation; the normalisation itself is kernels/group_norm.h with one segment and one
// channel per group.
//     running_mean     += momentum * (mean - running_mean)
//     running_variance += momentum * (variance * n / (n - 1) - running_variance),   variance = 1 / rstd^2 - epsilon
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct BatchNormUpdateArgs {
  const float* mean;        // [C] of the batch
  const float* rstd;        // [C] of the batch
  float* running_mean;      // [C]
  float* running_variance;  // [C]
  int64_t channels;         // C
  int64_t count;            // n, values per channel; the correction is left out for n = 1
  float epsilon;
  float momentum;
};

TESSERA_KERNEL(batch_norm_update, BatchNormUpdateArgs);

}  // namespace tessera
