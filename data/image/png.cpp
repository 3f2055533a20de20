#include "data/image/png.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include "data/image/deflate.h"

namespace tessera {
namespace {

// Slicing by four: table[k][b] is the CRC of byte b followed by k zero bytes.
constexpr std::array<std::array<uint32_t, 256>, 4> crc_tables = [] {
  std::array<std::array<uint32_t, 256>, 4> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
    tables[0][i] = value;
  }
  for (int k = 1; k < 4; ++k)
    for (uint32_t i = 0; i < 256; ++i) tables[k][i] = tables[0][tables[k - 1][i] & 255] ^ (tables[k - 1][i] >> 8);
  return tables;
}();

void append_be32(std::vector<uint8_t>& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(uint8_t(value >> shift));
}

void append_chunk(std::vector<uint8_t>& out, const char* type, std::span<const uint8_t> payload) {
  append_be32(out, uint32_t(payload.size()));
  const size_t start = out.size();
  out.insert(out.end(), type, type + 4);
  out.insert(out.end(), payload.begin(), payload.end());
  append_be32(out, png_checksum({&out[start], payload.size() + 4}));
}

// The predictor of filter 4: whichever of left, above and upper left is nearest to left + above - upper left.
int paeth(int left, int above, int corner) {
  const int to_left = std::abs(above - corner), to_above = std::abs(left - corner);
  const int to_corner = std::abs(left + above - 2 * corner);
  const int vertical = to_above <= to_corner ? above : corner;
  return to_left <= to_above && to_left <= to_corner ? left : vertical;
}

// Residuals of one row under the filters 0 none, 1 sub, 2 up, 4 Paeth. row and above are preceded by three zero bytes.
void filter_row(int filter, const uint8_t* row, const uint8_t* above, int count, uint8_t* out) {
  switch (filter) {
    case 1:
      for (int i = 0; i < count; ++i) out[i] = uint8_t(row[i] - row[i - 3]);
      break;
    case 2:
      for (int i = 0; i < count; ++i) out[i] = uint8_t(row[i] - above[i]);
      break;
    case 4:
      for (int i = 0; i < count; ++i) out[i] = uint8_t(row[i] - paeth(row[i - 3], above[i], above[i - 3]));
      break;
    default:
      std::memcpy(out, row, size_t(count));
  }
}

}  // namespace

uint32_t png_checksum(std::span<const uint8_t> bytes) {
  uint32_t crc = ~0u;
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    const uint32_t word = crc ^ (uint32_t(bytes[i]) | uint32_t(bytes[i + 1]) << 8 | uint32_t(bytes[i + 2]) << 16 |
                                 uint32_t(bytes[i + 3]) << 24);
    crc = crc_tables[3][word & 255] ^ crc_tables[2][word >> 8 & 255] ^ crc_tables[1][word >> 16 & 255] ^
          crc_tables[0][word >> 24];
  }
  for (; i < bytes.size(); ++i) crc = crc_tables[0][(crc ^ bytes[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

std::vector<uint8_t> png_file(int height, int width, int bits, int colour, std::span<const uint8_t> filtered) {
  std::vector<uint8_t> out{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  std::vector<uint8_t> header;
  append_be32(header, uint32_t(width));
  append_be32(header, uint32_t(height));
  // deflate, adaptive filters, not interlaced
  header.insert(header.end(), {uint8_t(bits), uint8_t(colour), 0, 0, 0});
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", zlib_compress(filtered));
  append_chunk(out, "IEND", {});
  return out;
}

std::vector<uint8_t> encode_png(const Image& image) {
  const int row_bytes = image.width * 3;
  std::vector<uint8_t> filtered;
  filtered.reserve(size_t(row_bytes + 1) * image.height);
  // Two rows with room for the three zero bytes before each.
  std::vector<uint8_t> row(size_t(row_bytes) + 3), above(size_t(row_bytes) + 3);
  std::vector<uint8_t> residuals(row_bytes), best(row_bytes);
  for (int y = 0; y < image.height; ++y) {
    std::memcpy(row.data() + 3, image.at(y, 0), size_t(row_bytes));
    int64_t least = INT64_MAX;
    int chosen = 0;
    for (const int filter : {0, 1, 2, 4}) {
      filter_row(filter, row.data() + 3, above.data() + 3, row_bytes, residuals.data());
      int64_t sum = 0;
      for (const uint8_t residual : residuals) sum += std::abs(int(int8_t(residual)));
      if (sum >= least) continue;
      least = sum;
      chosen = filter;
      best.swap(residuals);
    }
    filtered.push_back(uint8_t(chosen));
    filtered.insert(filtered.end(), best.begin(), best.end());
    row.swap(above);
  }
  return png_file(image.height, image.width, 8, 2, filtered);
}

}  // namespace tessera
