// One SIMD register of floats in GCC's vector extension, and the register tile of the matrix kernels. The width follows
// the instruction set the file is compiled for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tessera {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kTileRows = 12;  // rows x two registers = 24 sums of 32 registers
#else
inline constexpr int kLanes = 8;
inline constexpr int kTileRows = 6;  // 12 sums of 16 registers
#endif

using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));

[[gnu::always_inline]] inline Vector load_vector(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

[[gnu::always_inline]] inline void store_vector(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// The first `count` lanes (0 or less: none, kLanes or more: all); the others read as zero and are not written.
inline Vector load_lanes(const float* from, int64_t count) {
  if (count >= kLanes) return load_vector(from);
  Vector v{};
  for (int64_t i = 0; i < count; ++i) v[i] = from[i];
  return v;
}

inline void store_lanes(float* to, Vector v, int64_t count) {
  if (count >= kLanes) return store_vector(to, v);
  for (int64_t i = 0; i < count; ++i) to[i] = v[i];
}

}  // namespace tessera
