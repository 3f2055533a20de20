#include "data/image/stb_formats.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "data/image/exif.h"
#include "data/image/png.h"
#include "engine/core/error.h"

namespace {
// stb inflates whatever a file asks for; no honest picture needs a block larger than its own pixels with some slack.
thread_local size_t largest_block = 0;
void* limited_malloc(size_t size) { return size > largest_block ? nullptr : std::malloc(size); }
void* limited_realloc(void* old, size_t size) { return size > largest_block ? nullptr : std::realloc(old, size); }
}  // namespace

// stb's memory contexts never read io.read; the optimiser cannot see that.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(old, size) limited_realloc(old, size)
#define STBI_FREE(block) std::free(block)
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

namespace tessera {
namespace {

[[noreturn]] void throw_short(const char* format) {
  throw DecodeFailure(fmt::format("truncated {}: the data end inside the header", format));
}

void limit_memory(std::span<const uint8_t> bytes, const PictureHeader& header) {
  // At most 8 bytes a pixel (RGBA, 16 bits) and a filter byte a row; compressed blocks never exceed the file.
  largest_block = size_t(header.width * header.height) * 8 + size_t(header.height) * 16 + bytes.size() + (1 << 20);
  if (bytes.size() > size_t(INT32_MAX)) throw DecodeFailure("file of more than 2 GB");
}

}  // namespace

PictureHeader read_png_header(std::span<const uint8_t> bytes) {
  constexpr size_t signature = 8, ihdr_end = 8 + 12 + 13;
  if (bytes.size() < ihdr_end) throw_short("PNG");
  if (std::memcmp(&bytes[signature + 4], "IHDR", 4) || read_be32(&bytes[signature]) != 13)
    throw DecodeFailure("damaged PNG: it does not begin with its header chunk");
  PictureHeader header;
  header.width = read_be32(&bytes[16]);
  header.height = read_be32(&bytes[20]);
  if (bytes[24] == 16) header.note = "16-bit samples reduced to their high byte";
  header.is_truncated = true;
  for (size_t at = signature; at + 8 <= bytes.size();) {
    const size_t length = read_be32(&bytes[at]);
    const auto is_type = [&](const char* type) { return !std::memcmp(&bytes[at + 4], type, 4); };
    if (is_type("IEND")) {
      header.is_truncated = false;
      break;
    }
    if (length + 12 > bytes.size() - at) break;
    const auto payload = bytes.subspan(at + 8, length);
    if (header.damage.empty() && png_checksum(bytes.subspan(at + 4, length + 4)) != read_be32(&bytes[at + 8 + length]))
      header.damage = fmt::format("wrong checksum in chunk {} at byte {}",
                                  std::string(reinterpret_cast<const char*>(&bytes[at + 4]), 4), at);
    if (is_type("eXIf")) header.orientation = exif_orientation(payload);
    at += length + 12;
  }
  return header;
}

PictureHeader read_bmp_header(std::span<const uint8_t> bytes) {
  if (bytes.size() < 30) throw_short("BMP");
  const bool is_os2 = read_le32(&bytes[14]) == 12;  // the oldest header has 16-bit sides
  PictureHeader header;
  header.width = is_os2 ? read_le16(&bytes[18]) : int32_t(read_le32(&bytes[18]));
  header.height = is_os2 ? read_le16(&bytes[20]) : std::abs(int64_t(int32_t(read_le32(&bytes[22]))));
  const int64_t bits = read_le16(&bytes[is_os2 ? 24 : 28]);
  const int64_t row_bytes = (header.width * bits + 31) / 32 * 4;
  int64_t pixel_bytes = 0;
  const bool is_huge = __builtin_mul_overflow(row_bytes, header.height, &pixel_bytes);
  header.is_truncated = is_huge || int64_t(bytes.size()) - int64_t(read_le32(&bytes[10])) < pixel_bytes;
  return header;
}

PictureHeader read_gif_header(std::span<const uint8_t> bytes) {
  if (bytes.size() < 13) throw_short("GIF");
  PictureHeader header;
  header.width = read_le16(&bytes[6]);
  header.height = read_le16(&bytes[8]);
  header.is_truncated = true;
  const auto palette_bytes = [](uint8_t flags) { return flags & 0x80 ? size_t(3) << ((flags & 7) + 1) : 0; };
  size_t at = 13 + palette_bytes(bytes[10]);
  while (at < bytes.size()) {  // blocks up to the end of the first frame
    const uint8_t kind = bytes[at];
    const bool is_frame = kind == 0x2c;
    if (kind == 0x3b) throw DecodeFailure("GIF without a picture");
    if (kind != 0x21 && !is_frame) throw DecodeFailure(fmt::format("damaged GIF: unknown block at byte {}", at));
    if (is_frame && at + 10 > bytes.size()) break;
    at += is_frame ? 11 + palette_bytes(bytes[at + 9]) : 2;
    while (at < bytes.size() && bytes[at] != 0) at += bytes[at] + size_t(1);
    if (at >= bytes.size()) break;
    ++at;
    if (is_frame) {
      header.is_truncated = false;
      break;
    }
  }
  return header;
}

Image decode_with_stb(std::span<const uint8_t> bytes, const PictureHeader& header) {
  limit_memory(bytes, header);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<uint8_t, void (*)(void*)> decoded(
      stbi_load_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels, 3), std::free);
  if (!decoded) throw DecodeFailure(fmt::format("damaged picture data: {}", stbi_failure_reason()));
  if (width != header.width || height != header.height) throw DecodeFailure("damaged picture: two sizes in one file");
  Image image;
  image.height = height;
  image.width = width;
  image.pixels.assign(decoded.get(), decoded.get() + size_t(height) * width * 3);
  return image;
}

std::vector<uint16_t> decode_gray16_with_stb(std::span<const uint8_t> bytes, const PictureHeader& header) {
  limit_memory(bytes, header);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<uint16_t, void (*)(void*)> decoded(
      stbi_load_16_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels, 1), std::free);
  if (!decoded) throw DecodeFailure(fmt::format("damaged picture data: {}", stbi_failure_reason()));
  if (width != header.width || height != header.height) throw DecodeFailure("damaged picture: two sizes in one file");
  return {decoded.get(), decoded.get() + size_t(height) * width};
}

}  // namespace tessera
