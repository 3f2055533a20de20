// Maximum over square windows of NHWC maps; cells outside the map never win.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaxPoolShape {
  int64_t images, height, width, channels;  // input
  int64_t out_height, out_width;
  int64_t window, stride, padding;
};

struct MaxPoolForwardArgs {
  MaxPoolShape shape;
  const float* x;
  float* y;
  uint8_t* winner;  // [images, out_height, out_width, channels] place in the window, y * window + x; or null
};

struct MaxPoolBackwardArgs {
  MaxPoolShape shape;
  const uint8_t* winner;
  const float* dy;
  float* dx;  // overwritten
};

TESSERA_KERNEL(max_pool_forward, MaxPoolForwardArgs);
TESSERA_KERNEL(max_pool_backward, MaxPoolBackwardArgs);

}  // namespace tessera
