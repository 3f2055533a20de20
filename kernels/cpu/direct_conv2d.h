// The convolution and its gradients as the definition has them, every product carried out: any window, stride,
// padding and number of groups. conv2d.cpp uses them where Winograd's algorithm does not apply or does not pay.
#pragma once

#include "kernels/conv2d.h"

namespace tessera {

void direct_conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args);
void direct_conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args);
void direct_conv2d_backward_weight(CpuContext& context, const Conv2dBackwardWeightArgs& args);

}  // namespace tessera
