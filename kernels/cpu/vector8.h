// Eight floats at a time with the compiler's portable vectors: AVX2 registers where the target has them, pairs of
// narrower ones elsewhere.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

// Everything here is inlined: no vector crosses a function boundary of the ABI.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace tessera {

using Float8 = float __attribute__((vector_size(32)));
using Int8 = int32_t __attribute__((vector_size(32)));

[[gnu::always_inline]] inline Float8 load8(const float* from) {
  Float8 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

[[gnu::always_inline]] inline Int8 load8(const int32_t* from) {
  Int8 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

[[gnu::always_inline]] inline void store8(float* to, Float8 value) { std::memcpy(to, &value, sizeof value); }

// value[index[i] mod 8] for each i.
[[gnu::always_inline]] inline Float8 permute(Float8 value, Int8 index) { return __builtin_shuffle(value, index); }

// Bit i: value[i] > 0; NaN gives 0.
[[gnu::always_inline]] inline uint8_t positive_bits(Float8 value) {
#if defined(__AVX__)
  return static_cast<uint8_t>(
      _mm256_movemask_ps(_mm256_cmp_ps(reinterpret_cast<__m256>(value), _mm256_setzero_ps(), _CMP_GT_OQ)));
#else
  const Int8 bits = (value > 0.0f) & Int8{1, 2, 4, 8, 16, 32, 64, 128};
  return static_cast<uint8_t>(bits[0] | bits[1] | bits[2] | bits[3] | bits[4] | bits[5] | bits[6] | bits[7]);
#endif
}

}  // namespace tessera
