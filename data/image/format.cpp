#include "data/image/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace tessera {
namespace {

using namespace std::string_view_literals;

bool has(std::span<const uint8_t> bytes, size_t offset, std::string_view text) {
  return bytes.size() >= offset + text.size() && std::equal(text.begin(), text.end(), bytes.begin() + offset,
                                                            [](char a, uint8_t b) { return uint8_t(a) == b; });
}

// Text of any sort: the first bytes are printable ASCII or white space.
bool is_text(std::span<const uint8_t> bytes) {
  const auto head = bytes.first(std::min<size_t>(bytes.size(), 32));
  return std::all_of(head.begin(), head.end(),
                     [](uint8_t c) { return (c >= 32 && c < 127) || c == '\n' || c == '\r' || c == '\t'; });
}

struct Signature {
  size_t offset;
  std::string_view mark;
  const char* name;
};

constexpr std::array known_strangers{
    Signature{8, "WEBP"sv, "a WebP picture"},
    Signature{0, "II*\0"sv, "a TIFF picture"},
    Signature{0, "MM\0*"sv, "a TIFF picture"},
    Signature{4, "ftypavif"sv, "an AVIF picture"},
    Signature{4, "ftyphei"sv, "a HEIC picture"},
    Signature{4, "ftypmif1"sv, "a HEIF picture"},
    Signature{4, "ftyp"sv, "an MP4 video"},
    Signature{0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 picture"},
    Signature{0, "\xff\x0a"sv, "a JPEG XL picture"},
    Signature{0, "\0\0\0\x0cJXL "sv, "a JPEG XL picture"},
    Signature{0, "8BPS"sv, "a Photoshop document"},
    Signature{0, "%PDF"sv, "a PDF document"},
    Signature{0, "PK\x03\x04"sv, "a ZIP archive"},
    Signature{0, "\x1f\x8b"sv, "gzip data"},
    Signature{0, "\0\0\x01\0"sv, "an icon file"},
    Signature{0, "P6"sv, "a PPM picture"},
    Signature{0, "P5"sv, "a PGM picture"},
    Signature{0, "qoif"sv, "a QOI picture"},
    Signature{0, "version https://git-lfs"sv, "a Git LFS pointer, not the picture itself"},
};

}  // namespace

const char* format_name(ImageFormat format) {
  switch (format) {
    case ImageFormat::jpeg:
      return "JPEG";
    case ImageFormat::png:
      return "PNG";
    case ImageFormat::bmp:
      return "BMP";
    case ImageFormat::gif:
      return "GIF";
    case ImageFormat::unknown:
      break;
  }
  return "unknown";
}

ImageFormat sniff_format(std::span<const uint8_t> bytes) {
  if (has(bytes, 0, "\xff\xd8\xff"sv)) return ImageFormat::jpeg;
  if (has(bytes, 0, "\x89PNG\r\n\x1a\n"sv)) return ImageFormat::png;
  if (has(bytes, 0, "GIF87a"sv) || has(bytes, 0, "GIF89a"sv)) return ImageFormat::gif;
  // "BM" alone is two letters of any text; bytes 6..9 are reserved and zero in every BMP writer known.
  if (has(bytes, 0, "BM"sv) && has(bytes, 6, "\0\0\0\0"sv)) return ImageFormat::bmp;
  return ImageFormat::unknown;
}

std::string describe_unknown(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return "the file is empty";
  for (const Signature& signature : known_strangers)
    if (has(bytes, signature.offset, signature.mark)) return fmt::format("it is {}", signature.name);
  std::string head;
  for (uint8_t c : bytes.first(std::min<size_t>(bytes.size(), 64))) head += char(std::tolower(c));
  if (head.find("<!doctype html") != std::string::npos || head.find("<html") != std::string::npos)
    return "it looks like HTML (a web page saved under a picture's name)";
  if (is_text(bytes)) {
    std::string start = head.substr(0, 24);
    std::replace_if(
        start.begin(), start.end(), [](char c) { return c < 32; }, ' ');
    return fmt::format("it is text, starting with \"{}\"", start);
  }
  std::string hex;
  for (uint8_t c : bytes.first(std::min<size_t>(bytes.size(), 8))) hex += fmt::format(" {:02x}", c);
  return fmt::format("not a picture format known here (first bytes{})", hex);
}

}  // namespace tessera
