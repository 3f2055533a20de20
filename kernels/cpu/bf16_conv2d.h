// The convolution and its gradients on operands that are rounded to bf16 (nearest even), with sums in f32:
// ConvMath::bf16 of conv2d.h. Each result differs from the exact sum of products of rounded operands by less than terms
// * 2^-24 * sum of |products|, as long as no operand and no product is subnormal.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/cpu/bf16.h"

namespace tessera {

// Whether a call that asks for bf16 computes in it: rule of math_of_call (conv2d_choice.h), with f32 in place of tf32.
// channels: of a group, that are summed over.
bool bf16_applies(ConvMath math, int64_t channels);

// As the fp32 kernels: the scale multiplies sums forward, and weights (before they are rounded) backward.
void bf16_conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args, Bf16Path path = best_bf16_path());
void bf16_conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args,
                               Bf16Path path = best_bf16_path());
void bf16_conv2d_backward_weight(CpuContext& context, const Conv2dBackwardWeightArgs& args,
                                 Bf16Path path = best_bf16_path());

}  // namespace tessera
