// The spatial half of channel-spatial attention (Woo et al., "CBAM", 2018). Statistics of every pixel over its
// channels, and a gate per pixel:
//     pool:  y[p] = (max over c, mean over c), the maximum first (ties: the first channel)
//            dx = dmean / C, plus dmax at the winner
//     gate:  y = x * s[p],  s = sigmoid(logit);  dx = dy * s,  dlogit = s (1 - s) sum over c of dy * x
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct SpatialPoolForwardArgs {
  const float* x;    // [R, C]
  float* y;          // [R, 2]
  int32_t* winners;  // [R] channel of the maximum
  int64_t rows, channels;
};

struct SpatialPoolBackwardArgs {
  const float* dy;         // [R, 2]
  const int32_t* winners;  // [R]
  float* dx;               // [R, C]
  int64_t rows, channels;
};

struct SpatialGateForwardArgs {
  const float* x;       // [R, C]
  const float* logits;  // [R]
  float* y;             // [R, C]; may be x
  int64_t rows, channels;
};

struct SpatialGateBackwardArgs {
  const float* x;       // [R, C]
  const float* logits;  // [R]
  const float* dy;      // [R, C]
  float* dx;            // [R, C], nullptr: not wanted; may be dy
  float* dlogits;       // [R], nullptr: not wanted
  int64_t rows, channels;
};

TESSERA_KERNEL(spatial_pool_forward, SpatialPoolForwardArgs);
TESSERA_KERNEL(spatial_pool_backward, SpatialPoolBackwardArgs);
TESSERA_KERNEL(spatial_gate_forward, SpatialGateForwardArgs);
TESSERA_KERNEL(spatial_gate_backward, SpatialGateBackwardArgs);

}  // namespace tessera
