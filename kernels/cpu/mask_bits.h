// Targets of one bit a pixel, 32 to a word, read beside floats.
#pragma once

#include <cstdint>

namespace tessera {

inline int64_t mask_words(int64_t pixels) { return (pixels + 31) / 32; }

// Calls body.operator()(first pixel, pixels, word) for the words over [begin, end); begin is a multiple of 32.
template <typename Body>
void for_each_word(const int32_t* words, int64_t begin, int64_t end, Body&& body) {
  for (int64_t first = begin; first < end; first += 32) {
    body(first, end - first < 32 ? end - first : 32, static_cast<uint32_t>(words[first / 32]));
  }
}

// 1 or 0.
[[gnu::always_inline]] inline float bit_value(uint32_t word, int64_t bit) {
  return static_cast<float>(static_cast<int32_t>(word >> static_cast<uint32_t>(bit) & 1u));
}

}  // namespace tessera
