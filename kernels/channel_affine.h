// y = relu?( x * scale + shift ) per channel, and dx = dy * scale (zero where the ReLU cut). Frozen batch norm.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct ChannelAffineForwardArgs {
  const float* x;      // [R, C]
  const float* scale;  // [C]
  const float* shift;  // [C]
  float* y;            // [R, C]; may be x
  int64_t rows;
  int64_t channels;
  bool relu;
};

struct ChannelAffineBackwardArgs {
  const float* y;      // [R, C], output of forward; nullptr without ReLU
  const float* scale;  // [C]
  const float* dy;     // [R, C]
  float* dx;           // [R, C]; may be dy
  int64_t rows;
  int64_t channels;
};

TESSERA_KERNEL(channel_affine_forward, ChannelAffineForwardArgs);
TESSERA_KERNEL(channel_affine_backward, ChannelAffineBackwardArgs);

}  // namespace tessera
