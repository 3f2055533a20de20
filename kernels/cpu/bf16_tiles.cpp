#include "kernels/cpu/bf16_tiles.h"

#include <cstring>

#if defined(__AVX512BF16__) || defined(__AMX_BF16__)
#include <immintrin.h>
#endif

namespace tessera {

namespace {

constexpr int kPairs = kBf16Depth / 2;

// Calls run<RowTiles, ColumnTiles>.
template <typename Run>
void for_tiles(const Bf16Product& product, Run&& run) {
  const bool tall = product.row_tiles == 2, wide = product.column_tiles == 2;
  if (tall && wide) return run.template operator()<2, 2>();
  if (tall) return run.template operator()<2, 1>();
  if (wide) return run.template operator()<1, 2>();
  run.template operator()<1, 1>();
}

uint32_t load_pair(const Bf16* from) {
  uint32_t pair;
  std::memcpy(&pair, from, sizeof pair);
  return pair;
}

// Four rows and one tile of columns at a time.
template <int RowTiles, int ColumnTiles>
void multiply_portable(const Bf16Product& product, float* sums) {
  using Words = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));
  constexpr int kRows = 4, kRegisters = kBf16Side / kLanes;
  for (int64_t row = 0; row < RowTiles * kBf16Side; row += kRows) {
    for (int64_t tile = 0; tile < ColumnTiles; ++tile) {
      Vector sum[kRows][kRegisters] = {};
      for (int64_t step = 0; step < product.step_count; ++step) {
        const Bf16* a = product.a + row * product.a_row + product.steps[step];
        const uint32_t* b = product.b + (step * ColumnTiles + tile) * kBf16Tile;
        for (int pair = 0; pair < kPairs; ++pair, b += kBf16Side) {
          Vector first[kRegisters], second[kRegisters];
#pragma GCC unroll 2
          for (int v = 0; v < kRegisters; ++v) {
            Words words;
            std::memcpy(&words, b + v * kLanes, sizeof words);
            first[v] = reinterpret_cast<Vector>(words << 16);
            second[v] = reinterpret_cast<Vector>(words & 0xffff0000u);
          }
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) {
            const uint32_t values = load_pair(a + r * product.a_row + 2 * pair);
            const auto low = std::bit_cast<float>(values << 16), high = std::bit_cast<float>(values & 0xffff0000u);
#pragma GCC unroll 2
            for (int v = 0; v < kRegisters; ++v) {
              sum[r][v] += low * first[v];
              sum[r][v] += high * second[v];
            }
          }
        }
      }
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kRegisters; ++v) {
          store_vector(sums + (row + r) * kBf16Block + tile * kBf16Side + v * kLanes, sum[r][v]);
        }
      }
    }
  }
}

#if defined(__AVX512BF16__)
// Eight rows and all columns at a time.
template <int RowTiles, int ColumnTiles>
void multiply_avx512(const Bf16Product& product, float* sums) {
  constexpr int kRows = 8;
  for (int64_t row = 0; row < RowTiles * kBf16Side; row += kRows) {
    __m512 sum[kRows][ColumnTiles];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < ColumnTiles; ++v) sum[r][v] = _mm512_setzero_ps();
    }
    const uint32_t* b = product.b;
    for (int64_t step = 0; step < product.step_count; ++step, b += ColumnTiles * kBf16Tile) {
      const Bf16* a = product.a + row * product.a_row + product.steps[step];
      for (int pair = 0; pair < kPairs; ++pair) {
        __m512i columns[ColumnTiles];
#pragma GCC unroll 2
        for (int v = 0; v < ColumnTiles; ++v) {
          columns[v] = _mm512_loadu_si512(b + v * kBf16Tile + pair * kBf16Side);
        }
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const __m512i values = _mm512_set1_epi32(static_cast<int>(load_pair(a + r * product.a_row + 2 * pair)));
#pragma GCC unroll 2
          for (int v = 0; v < ColumnTiles; ++v) {
            sum[r][v] =
                _mm512_dpbf16_ps(sum[r][v], reinterpret_cast<__m512bh>(values), reinterpret_cast<__m512bh>(columns[v]));
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < ColumnTiles; ++v) {
        _mm512_storeu_ps(sums + (row + r) * kBf16Block + v * kBf16Side, sum[r][v]);
      }
    }
  }
}
#endif

#if defined(__AMX_BF16__)
// Registers 0 to 3 hold sums, 4 and 5 rows, 6 and 7 columns. The intrinsics do not tell the compiler that they touch
// memory: the barriers do.
template <int RowTiles, int ColumnTiles>
void multiply_amx(const Bf16Product& product, float* sums) {
  const int64_t row_bytes = product.a_row * static_cast<int64_t>(sizeof(Bf16));
  constexpr int64_t kPairBytes = kBf16Side * sizeof(uint32_t), kSumBytes = kBf16Block * sizeof(float);
  asm volatile("" ::: "memory");
  _tile_zero(0);
  if constexpr (ColumnTiles == 2) _tile_zero(1);
  if constexpr (RowTiles == 2) _tile_zero(2);
  if constexpr (RowTiles == 2 && ColumnTiles == 2) _tile_zero(3);
  const uint32_t* b = product.b;
  for (int64_t step = 0; step < product.step_count; ++step, b += ColumnTiles * kBf16Tile) {
    const Bf16* a = product.a + product.steps[step];
    _tile_loadd(4, a, row_bytes);
    _tile_loadd(6, b, kPairBytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (ColumnTiles == 2) {
      _tile_loadd(7, b + kBf16Tile, kPairBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (RowTiles == 2) {
      _tile_loadd(5, a + kBf16Side * product.a_row, row_bytes);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (RowTiles == 2 && ColumnTiles == 2) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, kSumBytes);
  if constexpr (ColumnTiles == 2) _tile_stored(1, sums + kBf16Side, kSumBytes);
  if constexpr (RowTiles == 2) _tile_stored(2, sums + kBf16Side * kBf16Block, kSumBytes);
  if constexpr (RowTiles == 2 && ColumnTiles == 2) {
    _tile_stored(3, sums + kBf16Side * kBf16Block + kBf16Side, kSumBytes);
  }
  asm volatile("" ::: "memory");
}

// Palette 1: eight registers, here of 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);
#endif

}  // namespace

Bf16Tiles::Bf16Tiles(Bf16Path path) : path_(path) {
#if defined(__AMX_BF16__)
  if (path_ == Bf16Path::amx) {
    const TileConfiguration configuration;
    asm volatile("ldtilecfg %0" ::"m"(configuration));
  }
#endif
}

Bf16Tiles::~Bf16Tiles() {
#if defined(__AMX_BF16__)
  if (path_ == Bf16Path::amx) asm volatile("tilerelease");
#endif
}

void Bf16Tiles::multiply(const Bf16Product& product, float* sums) const {
  for_tiles(product, [&]<int RowTiles, int ColumnTiles>() {
#if defined(__AMX_BF16__)
    if (path_ == Bf16Path::amx) return multiply_amx<RowTiles, ColumnTiles>(product, sums);
#endif
#if defined(__AVX512BF16__)
    if (path_ == Bf16Path::avx512) return multiply_avx512<RowTiles, ColumnTiles>(product, sums);
#endif
    multiply_portable<RowTiles, ColumnTiles>(product, sums);
  });
}

// The operands are not zero: multipliers of zeros take less power, and the clock may be higher.
int64_t Bf16Tiles::multiply_registers([[maybe_unused]] int64_t times) const {
#if defined(__AMX_BF16__)
  if (path_ == Bf16Path::amx) {
    alignas(64) uint32_t operand[kBf16Tile];
    for (int64_t i = 0; i < kBf16Tile; ++i) operand[i] = bf16_pair(1.0f / static_cast<float>(i + 1), -0.3f);
    asm volatile("" ::: "memory");
    _tile_loadd(4, operand, 64);
    _tile_loadd(6, operand, 64);
    for (int64_t i = 0; i < times; ++i) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 6);
      _tile_dpbf16ps(2, 4, 6);
      _tile_dpbf16ps(3, 4, 6);
    }
    return 4 * kBf16Side * kBf16Side * kBf16Depth;
  }
#endif
#if defined(__AVX512BF16__)
  if (path_ == Bf16Path::avx512) {
    constexpr int kChains = 16;
    __m512 sum[kChains] = {};
    const __m512i pairs = _mm512_set1_epi32(static_cast<int>(bf16_pair(0.7f, -0.3f)));
    const auto operand = reinterpret_cast<const __m512bh&>(pairs);
    for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 16
      for (int chain = 0; chain < kChains; ++chain) {
        sum[chain] = _mm512_dpbf16_ps(sum[chain], operand, operand);
        asm volatile("" : "+v"(sum[chain]));  // keeps the chain
      }
    }
    return int64_t{kChains} * 32;
  }
#endif
  return 0;
}

}  // namespace tessera
