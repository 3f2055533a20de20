// 1x1 convolution whose kernels belong to instances (Wang et al., "SOLOv2", 2020; equation 1 of the YOLACTR paper):
//     z[k][p] = sum over c of kernel[k][c] * f[p][c],   p a pixel of the image of instance k, no bias
//     df[p] = sum over k of dz[k][p] kernel[k],   dkernel[k] = sum over p of dz[k][p] f[p]
#pragma once

#include <cstdint>
#include <span>

#include "kernels/context.h"

namespace tessera {

struct DynamicConvForwardArgs {
  std::span<const int64_t> first_instance;  // [N + 1] host memory: image n has instances first[n] .. first[n + 1]
  const float* features;                    // [N, P, D]
  const float* kernels;                     // [K, D]
  float* y;                                 // [K, P]
  int64_t pixels, channels;                 // P, D
};

struct DynamicConvBackwardArgs {
  std::span<const int64_t> first_instance;
  const float* features;
  const float* kernels;
  const float* dy;   // [K, P]
  float* dfeatures;  // [N, P, D], nullptr: not wanted
  float* dkernels;   // [K, D], nullptr: not wanted
  int64_t pixels, channels;
};

TESSERA_KERNEL(dynamic_conv_forward, DynamicConvForwardArgs);
TESSERA_KERNEL(dynamic_conv_backward, DynamicConvBackwardArgs);

}  // namespace tessera
