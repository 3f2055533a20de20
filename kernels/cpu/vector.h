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

// Past the caches, where the processor can: `to` is aligned to the register. Writes are seen by other threads after
// finish_streaming().
[[gnu::always_inline]] inline void stream_vector(float* to, Vector v) {
#if defined(__AVX512F__)
  __builtin_ia32_movntps512(to, v);
#elif defined(__AVX__)
  __builtin_ia32_movntps256(to, v);
#else
  store_vector(to, v);
#endif
}

inline void finish_streaming() {
#if defined(__AVX__)
  __builtin_ia32_sfence();
#endif
}

// Lane j of rows[i] and lane i of rows[j] change places: blocks of 1, 2, 4 ... lanes beside the diagonal, one size
// after the other.
[[gnu::always_inline]] inline void transpose(Vector (&rows)[kLanes]) {
  using Index = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
#pragma GCC unroll 4
  for (int size = 1; size < kLanes; size *= 2) {
    Index lower{}, upper{};
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) {
      lower[j] = (j & size) == 0 ? j : kLanes + j - size;
      upper[j] = (j & size) == 0 ? j + size : kLanes + j;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & size) != 0) continue;
      const Vector first = rows[i], second = rows[i + size];
      rows[i] = __builtin_shuffle(first, second, lower);
      rows[i + size] = __builtin_shuffle(first, second, upper);
    }
  }
}

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
