// The one-dimensional transforms of F(4, 3): four outputs of a three-tap filter from six inputs with six products,
//   y = A^T [(G g) * (B^T d)],   in two dimensions Y = A^T [(G g G^T) * (B^T D B)] A
// (Toom and Cook; Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2016). Interpolation points 0, +-1/sqrt 2, +-sqrt 2, infinity: sign pairs share their
// even and odd parts, and reciprocal pairs keep the constants small, so that rounding grows less than half as much as
// with the customary 0, +-1, +-2 (figures in winograd.h).
// The transposed transforms (A m and G^T u) serve the gradient of the weights.
#pragma once

#include <array>

namespace tessera::winograd {

inline constexpr int kOutputs = 4;  // per axis
inline constexpr int kTaps = 3;
inline constexpr int kPoints = kOutputs + kTaps - 1;
inline constexpr int kElements = kPoints * kPoints;

inline constexpr float kSmall = 0.70710678118654752f;  // 1 / sqrt 2
inline constexpr float kLarge = 1.41421356237309505f;  // sqrt 2

// d [6] -> B^T d [6]
template <typename V>
[[gnu::always_inline]] inline void transform_input(const V* d, V* t) {
  const V even_small = d[4] - 2.0f * d[2], odd_small = d[3] - 2.0f * d[1];
  const V even_large = d[4] - 0.5f * d[2], odd_large = d[3] - 0.5f * d[1];
  t[0] = d[0] - 2.5f * d[2] + d[4];
  t[1] = even_small + kSmall * odd_small;
  t[2] = even_small - kSmall * odd_small;
  t[3] = even_large + kLarge * odd_large;
  t[4] = even_large - kLarge * odd_large;
  t[5] = d[1] - 2.5f * d[3] + d[5];
}

// g [3] -> G g [6]
template <typename V>
[[gnu::always_inline]] inline void transform_weight(const V* g, V* t) {
  const V even_small = (g[0] + 0.5f * g[2]) * (-2.0f / 3.0f), odd_small = g[1] * (-2.0f / 3.0f * kSmall);
  const V even_large = g[0] * (1.0f / 6.0f) + g[2] * (1.0f / 3.0f), odd_large = g[1] * (kLarge / 6.0f);
  t[0] = g[0];
  t[1] = even_small + odd_small;
  t[2] = even_small - odd_small;
  t[3] = even_large + odd_large;
  t[4] = even_large - odd_large;
  t[5] = g[2];
}

// m [6] -> A^T m [4]
template <typename V>
[[gnu::always_inline]] inline void transform_output(const V* m, V* y) {
  const V even_small = m[1] + m[2], odd_small = m[1] - m[2];
  const V even_large = m[3] + m[4], odd_large = m[3] - m[4];
  y[0] = m[0] + even_small + even_large;
  y[1] = kSmall * odd_small + kLarge * odd_large;
  y[2] = 0.5f * even_small + 2.0f * even_large;
  y[3] = (0.5f * kSmall) * odd_small + (2.0f * kLarge) * odd_large + m[5];
}

// y [4] -> A y [6]
template <typename V>
[[gnu::always_inline]] inline void spread_output(const V* y, V* m) {
  const V even_small = y[0] + 0.5f * y[2], odd_small = kSmall * y[1] + (0.5f * kSmall) * y[3];
  const V even_large = y[0] + 2.0f * y[2], odd_large = kLarge * y[1] + (2.0f * kLarge) * y[3];
  m[0] = y[0];
  m[1] = even_small + odd_small;
  m[2] = even_small - odd_small;
  m[3] = even_large + odd_large;
  m[4] = even_large - odd_large;
  m[5] = y[3];
}

// u [6] -> G^T u [3]
template <typename V>
[[gnu::always_inline]] inline void collect_weight(const V* u, V* g) {
  const V even_small = u[1] + u[2], odd_small = u[1] - u[2];
  const V even_large = u[3] + u[4], odd_large = u[3] - u[4];
  g[0] = u[0] + (1.0f / 6.0f) * even_large - (2.0f / 3.0f) * even_small;
  g[1] = (kLarge / 6.0f) * odd_large - (2.0f / 3.0f * kSmall) * odd_small;
  g[2] = u[5] + (1.0f / 3.0f) * (even_large - even_small);
}

}  // namespace tessera::winograd
