// What kind of file these bytes are, judged by their first bytes alone: file names lie.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace tessera {

enum class ImageFormat { unknown, jpeg, png, bmp, gif };

// "JPEG", "PNG", "BMP", "GIF", "unknown".
const char* format_name(ImageFormat format);

// One of the four formats the engine reads, or unknown.
ImageFormat sniff_format(std::span<const uint8_t> bytes);

// For bytes of no known picture format: what they look like ("a WebP picture", "HTML text", "starts with 3f 00 12
// ...").
std::string describe_unknown(std::span<const uint8_t> bytes);

// A picture's header as its container states it; the pixels have not been looked at.
struct PictureHeader {
  int64_t height = 0;  // rows as stored, before orientation
  int64_t width = 0;
  int orientation = 1;          // EXIF tag 0x112, 1..8; 1 where absent or unusable
  bool is_truncated = false;    // bytes end before the picture does
  bool lacks_end_mark = false;  // JPEG without its end-of-image marker: complete or not, only decoding tells
  std::string damage;           // first sign of damage that does not prevent decoding (a wrong CRC), or empty
  std::string note;             // loss by design ("16-bit samples reduced to their high byte"), or empty
};

// Thrown by the readers of one format, which know the reason but not the file's name; decode_image() makes it an Error.
struct DecodeFailure : std::runtime_error {
  explicit DecodeFailure(const std::string& reason, std::string try_hint = {})
      : std::runtime_error(reason), hint(std::move(try_hint)) {}
  std::string hint;
};

// Bounded reads of integers: offsets are checked by the caller.
inline uint32_t read_be16(const uint8_t* p) { return uint32_t(p[0]) << 8 | p[1]; }
inline uint32_t read_le16(const uint8_t* p) { return uint32_t(p[1]) << 8 | p[0]; }
inline uint32_t read_be32(const uint8_t* p) { return read_be16(p) << 16 | read_be16(p + 2); }
inline uint32_t read_le32(const uint8_t* p) { return read_le16(p + 2) << 16 | read_le16(p); }

}  // namespace tessera
