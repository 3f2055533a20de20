// Layer normalisation of rows (Ba, Kiros and Hinton, "Layer Normalization", 2016):
//     y = (x - mean) * rstd * weight + bias
// with mean and biased variance over the C elements of a row, rstd = 1 / sqrt(variance + epsilon).
// Backward, with xh = (x - mean) * rstd and g = dy * weight:
//     dbias = sum of dy, dweight = sum of dy * xh (over rows),  dx = rstd * (g - mean(g) - xh * mean(g * xh))
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct LayerNormForwardArgs {
  const float* x;       // [R, C]
  const float* weight;  // [C]
  const float* bias;    // [C]
  float* y;             // [R, C]; may be x
  float* mean;          // [R]
  float* rstd;          // [R]
  int64_t rows, channels;
  float epsilon;
};

struct LayerNormBackwardArgs {
  const float* x;       // [R, C]
  const float* weight;  // [C]
  const float* mean;    // [R]
  const float* rstd;    // [R]
  const float* dy;      // [R, C]
  float* dx;            // [R, C], nullptr: not wanted; may be dy
  float* dweight;       // [C], nullptr: not wanted
  float* dbias;         // [C], nullptr: not wanted
  int64_t rows, channels;
};

TESSERA_KERNEL(layer_norm_forward, LayerNormForwardArgs);
TESSERA_KERNEL(layer_norm_backward, LayerNormBackwardArgs);

}  // namespace tessera
