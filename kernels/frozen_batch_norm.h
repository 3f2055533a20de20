// Batch norm with fixed statistics as one affine per channel:
//     scale = weight / sqrt(variance + epsilon)      shift = bias - mean * scale
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct FrozenBatchNormArgs {
  const float* weight;    // [C]
  const float* bias;      // [C]
  const float* mean;      // [C]
  const float* variance;  // [C]
  float* scale;           // [C]
  float* shift;           // [C]
  int64_t channels;
  float epsilon;
};

TESSERA_KERNEL(frozen_batch_norm_affine, FrozenBatchNormArgs);

}  // namespace tessera
