// CRC-32C (Castagnoli, RFC 3720 appendix B.4): detects damaged weights.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera {

// Checksum of a followed by b: crc32c(b, m, crc32c(a, n)).
uint32_t crc32c(const void* data, size_t bytes, uint32_t before = 0);

// The same without the processor's instruction; used where there is none.
uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace tessera
