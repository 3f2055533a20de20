// What convolutions multiply in.
#pragma once

#include <cstdint>

namespace tessera {

// The default is fp32; the CPU has bf16 beside it. All others round both operands to nearest and keep memory in f32;
// only fp16_accumulate_chunked rounds sums, those of 32 products to half. kernels/conv2d_choice.h has the rule for few
// channels, docs/kernels/conv2d.md the paths.
enum class ConvMath : uint8_t { fp32, tf32, bf16, fp16, fp16_accumulate_chunked };

}  // namespace tessera
