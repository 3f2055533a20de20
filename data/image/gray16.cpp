#include "data/image/gray16.h"

#include "data/image/png.h"
#include "data/image/stb_formats.h"
#include "engine/core/error.h"

namespace tessera {

namespace {

constexpr size_t kDepthOffset = 24, kColourOffset = 25;  // in the header chunk, from the start of the file

[[noreturn]] void refuse(const std::string& name, const std::string& reason, const std::string& hint) {
  throw Error(ExitCode::data, name + ": " + reason, hint);
}

}  // namespace

Gray16 decode_gray16(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  const char* again = "unpack or download this file again";
  if (sniff_format(bytes) != ImageFormat::png) {
    refuse(name, "not a PNG, but 16-bit numbers are expected: " + describe_unknown(bytes), again);
  }
  try {
    const PictureHeader header = read_png_header(bytes);
    if (bytes[kDepthOffset] != 16 || bytes[kColourOffset] != 0) {
      refuse(name,
             fmt::format("a PNG of {} bits and colour type {}, but 16-bit grey is expected",
                         static_cast<int>(bytes[kDepthOffset]), static_cast<int>(bytes[kColourOffset])),
             "instance maps end in _instanceIds.png; an editor that saved them in 8 bits has destroyed them");
    }
    if (header.width <= 0 || header.height <= 0 || header.width > options.max_pixels / header.height) {
      refuse(name, fmt::format("{} x {} pixels", header.width, header.height), again);
    }
    if (header.is_truncated) refuse(name, "truncated PNG", again);
    // A picture with a wrong bit can be looked at; a map of numbers cannot be trusted.
    if (!header.damage.empty()) refuse(name, "damaged PNG: " + header.damage, again);
    Gray16 image{static_cast<int>(header.height), static_cast<int>(header.width), {}};
    image.values = decode_gray16_with_stb(bytes, header);
    return image;
  } catch (const DecodeFailure& failure) {
    refuse(name, failure.what(), again);
  }
}

Gray16 load_gray16(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_gray16(read_bytes(path), path.string(), options);
}

std::vector<uint8_t> encode_gray16_png(const Gray16& image) {
  std::vector<uint8_t> rows;
  rows.reserve(static_cast<size_t>(image.height) * (1 + 2 * static_cast<size_t>(image.width)));
  for (int y = 0; y < image.height; ++y) {
    rows.push_back(1);  // filter "sub": each byte minus the one of the sample on the left
    uint16_t left = 0;
    for (int x = 0; x < image.width; ++x) {
      const uint16_t value = image.at(y, x);
      rows.push_back(static_cast<uint8_t>((value >> 8) - (left >> 8)));
      rows.push_back(static_cast<uint8_t>((value & 255) - (left & 255)));
      left = value;
    }
  }
  return png_file(image.height, image.width, 16, 0, rows);
}

}  // namespace tessera
