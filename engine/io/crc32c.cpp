#include "engine/io/crc32c.h"

#include <array>
#include <cstring>

#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

namespace tessera {

namespace {

// table[k][b]: the effect of byte b followed by k zero bytes, so that eight bytes need eight independent look-ups.
constexpr auto make_tables() {
  std::array<std::array<uint32_t, 256>, 8> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0u);
    table[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 255];
    }
  }
  return table;
}

constexpr auto kTables = make_tables();

}  // namespace

uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t before) {
  const auto* next = static_cast<const unsigned char*>(data);
  uint32_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, next += 8) {
    uint64_t word = 0;
    for (int i = 7; i >= 0; --i) word = word << 8 | next[i];
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 255];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ *next++) & 255];
  return ~crc;
}

#ifdef __SSE4_2__
uint32_t crc32c(const void* data, size_t bytes, uint32_t before) {
  const auto* next = static_cast<const unsigned char*>(data);
  uint64_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, next += 8) {
    uint64_t word;
    std::memcpy(&word, next, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  uint32_t tail = static_cast<uint32_t>(crc);
  for (; bytes > 0; --bytes) tail = _mm_crc32_u8(tail, *next++);
  return ~tail;
}
#else
uint32_t crc32c(const void* data, size_t bytes, uint32_t before) { return crc32c_portable(data, bytes, before); }
#endif

}  // namespace tessera
