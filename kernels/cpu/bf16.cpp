#include "kernels/cpu/bf16.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tessera {

const char* bf16_path_name(Bf16Path path) {
  switch (path) {
    case Bf16Path::portable:
      return "portable";
    case Bf16Path::avx512:
      return "AVX512-BF16";
    case Bf16Path::amx:
      return "AMX-BF16";
  }
  return "?";
}

namespace {

// The state of the tiles is 8 KiB a thread: Linux keeps it for processes that asked (x86/xstate.rst of the kernel).
bool request_tiles() {
#if defined(__AMX_BF16__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool has_bf16_path(Bf16Path path) {
  switch (path) {
    case Bf16Path::portable:
      return true;
    case Bf16Path::avx512:
#if defined(__AVX512BF16__)
      return true;
#else
      return false;
#endif
    case Bf16Path::amx: {
      static const bool granted = request_tiles();
      return granted;
    }
  }
  return false;
}

Bf16Path best_bf16_path() {
  for (const Bf16Path path : {Bf16Path::amx, Bf16Path::avx512}) {
    if (has_bf16_path(path)) return path;
  }
  return Bf16Path::portable;
}

void round_to_bf16(const float* from, int64_t count, Bf16* to) {
  int64_t i = 0;
#if defined(__AVX512BF16__)
  for (; i + 32 <= count; i += 32) {
    const __m512bh values = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
    _mm512_storeu_si512(to + i, reinterpret_cast<const __m512i&>(values));
  }
#endif
  for (; i < count; ++i) to[i] = round_to_bf16(from[i]);
}

void round_to_pairs(const float* first, const float* second, uint32_t* to) {
#if defined(__AVX512BF16__)
  using Halves = int16_t __attribute__((vector_size(64)));
  constexpr Halves kInterleaved = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512bh values = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first));
  const Halves pairs = __builtin_shuffle(reinterpret_cast<const Halves&>(values), kInterleaved);
  std::memcpy(to, &pairs, sizeof pairs);
  return;
#endif
  for (int i = 0; i < 16; ++i) to[i] = bf16_pair(first[i], second[i]);
}

// A row of words has four bits of address, and so has a column. Interleaving rows i and i + 8 turns the eight bits by
// one place; after four times rows and columns have changed places.
void transpose_words(const uint32_t (&from)[16][16], void* to, int64_t to_row) {
  using Words = uint32_t __attribute__((vector_size(64)));
  constexpr Words kLower = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Words kUpper = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  Words rows[16], turned[16];
  std::memcpy(rows, from, sizeof rows);
  for (int stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      turned[2 * i] = __builtin_shuffle(rows[i], rows[i + 8], kLower);
      turned[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + 8], kUpper);
    }
    std::memcpy(rows, turned, sizeof rows);
  }
  for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(to) + i * to_row, &rows[i], sizeof rows[i]);
}

}  // namespace tessera
