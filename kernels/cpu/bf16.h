// Bfloat16 on the CPU: the upper half of an f32. Values are rounded to nearest even, sums stay f32.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace tessera {

using Bf16 = uint16_t;  // its bits

// Which instructions multiply. Every one rounds the same way and differs from the others in the order of sums alone;
// those of avx512 and amx take subnormal operands and sums for zero.
enum class Bf16Path : uint8_t {
  portable,  // widened to f32, fused multiply-adds
  avx512,    // AVX512-BF16: 32 products an instruction
  amx,       // AMX-BF16: 8,192 products an instruction, on tiles of 16 x 32 values
};

const char* bf16_path_name(Bf16Path path);  // "portable", "AVX512-BF16", "AMX-BF16"

// Compiled for, and granted by the processor and the system. AMX needs a permission, which the first call asks for.
bool has_bf16_path(Bf16Path path);
Bf16Path best_bf16_path();

// NaN stays NaN; greater than the greatest finite value becomes infinity.
inline Bf16 round_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (value != value) return static_cast<Bf16>(bits >> 16 | 0x40);
  return static_cast<Bf16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// `count` values.
void round_to_bf16(const float* from, int64_t count, Bf16* to);

// A word of two neighbours of a sum, the first one in the lower half.
inline uint32_t bf16_pair(float first, float second) {
  return round_to_bf16(first) | static_cast<uint32_t>(round_to_bf16(second)) << 16;
}

// 16 pairs (first[i], second[i]).
void round_to_pairs(const float* first, const float* second, uint32_t* to);

// Word j of the row i of `to` = from[j][i]; to_row: bytes from one row to the next.
void transpose_words(const uint32_t (&from)[16][16], void* to, int64_t to_row);

}  // namespace tessera
