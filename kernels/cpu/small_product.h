// Product of small matrices that stay where they are: C[M][N] = or += A[M][K] B[K][N]. A is read with two steps, so it
// may be transposed; the columns of B and C are contiguous. Every sum runs over K in order, in one register: the bits
// do not depend on how M and N are cut into tiles.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace tessera {

struct SmallMatrix {
  const float* data;
  int64_t row, step;  // elements from one row (column) to the next
};

struct SmallProduct {
  SmallMatrix a;  // [M][K]
  const float* b;
  int64_t b_row;  // from one row of B to the next
  float* c;
  int64_t c_row;
  int64_t depth;     // K
  bool add = false;  // to what C holds
};

template <int Rows, int Registers, bool Full>
[[gnu::noinline]] void small_product_tile(const SmallProduct& product, int64_t m, int64_t n, int64_t lanes) {
  Vector sum[Rows][Registers] = {};
  const float* a = product.a.data + m * product.a.row;
  const float* b = product.b + n;
  const int64_t a_row = product.a.row, a_step = product.a.step, b_row = product.b_row;
  for (int64_t k = 0; k < product.depth; ++k) {
    Vector v[Registers];
#pragma GCC unroll 2
    for (int i = 0; i < Registers; ++i) {
      v[i] = Full ? load_vector(b + i * kLanes) : load_lanes(b + i * kLanes, lanes - i * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int i = 0; i < Registers; ++i) sum[r][i] += a[r * a_row] * v[i];
    }
    a += a_step;
    b += b_row;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < Registers; ++i) {
      float* to = product.c + (m + r) * product.c_row + n + i * kLanes;
      const int64_t left = Full ? kLanes : lanes - i * kLanes;
      store_lanes(to, product.add ? load_lanes(to, left) + sum[r][i] : sum[r][i], left);
    }
  }
}

template <int Rows>
inline void small_product_rows(const SmallProduct& product, int64_t m, int64_t columns) {
  int64_t n = 0;
  for (; n + 2 * kLanes <= columns; n += 2 * kLanes) small_product_tile<Rows, 2, true>(product, m, n, 2 * kLanes);
  if (n + kLanes <= columns) {
    small_product_tile<Rows, 1, true>(product, m, n, kLanes);
    n += kLanes;
  }
  if (n < columns) small_product_tile<Rows, 1, false>(product, m, n, columns - n);
}

// M rows, N columns.
inline void multiply_small(const SmallProduct& product, int64_t rows, int64_t columns) {
  int64_t m = 0;
  for (; m + kTileRows <= rows; m += kTileRows) small_product_rows<kTileRows>(product, m, columns);
  for (; m + 4 <= rows; m += 4) small_product_rows<4>(product, m, columns);
  for (; m < rows; ++m) small_product_rows<1>(product, m, columns);
}

}  // namespace tessera
