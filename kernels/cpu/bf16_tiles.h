// The inner product of the convolutions in bf16, by the instructions of a path. Operands lie as AMX reads them (Intel
// 64 and IA-32 Architectures Optimization Reference Manual, "Intel AMX and deep learning"); the other paths read the
// same.
#pragma once

#include "kernels/cpu/bf16.h"

namespace tessera {

inline constexpr int64_t kBf16Depth = 32;                         // products that a step adds to every sum
inline constexpr int64_t kBf16Side = 16;                          // rows of a tile, and columns
inline constexpr int64_t kBf16Tile = kBf16Side * kBf16Depth / 2;  // words of two values of a tile of either operand
inline constexpr int64_t kBf16Block = 2 * kBf16Side;              // rows and columns of sums at most, two tiles of each
inline constexpr int64_t kBf16Sums = kBf16Block * kBf16Block;     // floats of the sums

// sums[r][c] = sum over steps s, k < 32 of a[r * a_row + steps[s] + k] b[s][c][k], rows of kBf16Block floats.
// b: for every step column_tiles tiles of [16 pairs of k][16 columns]. All rows of the row tiles can be read.
struct Bf16Product {
  const Bf16* a;
  int64_t a_row;
  const int64_t* steps;
  int64_t step_count;
  const uint32_t* b;
  int row_tiles, column_tiles;  // 1 or 2
};

// The tile registers of a thread, for as long as this lives.
class Bf16Tiles {
 public:
  explicit Bf16Tiles(Bf16Path path);
  ~Bf16Tiles();
  Bf16Tiles(const Bf16Tiles&) = delete;
  Bf16Tiles& operator=(const Bf16Tiles&) = delete;

  // sums: [32][32], aligned to 64 bytes; of the tiles that there are, all are written.
  void multiply(const Bf16Product& product, float* sums) const;

  // Adds the products of four pairs of registers `times` times and loads nothing: what the path can do at best. Returns
  // the multiply-adds of one time; 0 for the portable path, which has no instruction of its own.
  int64_t multiply_registers(int64_t times) const;

 private:
  Bf16Path path_;
};

}  // namespace tessera
