// The precision that a user asks convolutions to compute in (--precision). Tensors, sums, statistics, losses and
// weights stay f32; kernels/conv_math.h says what is rounded.
#pragma once

#include <string_view>

#include "kernels/context.h"
#include "kernels/conv_math.h"

namespace tessera {

// "fp32", "tf32", "bf16", "fp16", and "fp16-chunked": sums of 32 products in half, twice the speed on GeForce.
// Throws Error(usage) for anything else.
ConvMath parse_precision(std::string_view text);
const char* precision_name(ConvMath math);

// Of the convolutions of a context, to be set before its first one; fp32 until then. Throws Error(usage) on the CPU for
// all but fp32 and bf16.
void set_precision(Context& context, ConvMath math);
ConvMath precision_of(const Context& context);

// Precision of the gradients. Those of a loss span more powers of two than half has, and there is no loss scale: behind
// fp16 they are computed in bf16, at the same speed.
constexpr ConvMath gradient_math(ConvMath forward) {
  return forward == ConvMath::fp16 || forward == ConvMath::fp16_accumulate_chunked ? ConvMath::bf16 : forward;
}

}  // namespace tessera
