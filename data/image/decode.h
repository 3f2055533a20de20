// Any picture file -> RGB. The format is judged by content; the size is checked before memory is taken; what is cut or
// unreadable is an Error(data) that names the file, the reason and something to try (data specification, section D).
// Good pictures agree with PIL within 3 levels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/image/format.h"
#include "data/image/image.h"

namespace tessera {

// What max_pixels may be raised to: three bytes a pixel stay below 2^31.
inline constexpr int64_t kMostMegapixels = 700;

struct DecodeOptions {
  int64_t max_pixels = 100'000'000;  // larger headers are refused
  bool apply_orientation = true;     // turn by EXIF, as detectron2 does
  bool strict = false;               // damage that can be worked round (wrong PNG checksum, ...) is an error too
};

struct ImageInfo {
  ImageFormat format = ImageFormat::unknown;
  int height = 0;  // as decoded: after orientation, where that is applied
  int width = 0;
  int orientation = 1;  // 1..8 as found in the file
};

struct DecodedImage {
  Image image;
  ImageInfo info;
  std::vector<std::string> damage;  // signs of damage worked round; the picture may show it
  std::vector<std::string> notes;   // loss by design, such as 16 -> 8 bits
};

// The header only; throws as decode_image() does for unknown formats, unusable headers and too many pixels.
ImageInfo probe_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options = {});

// name: what errors call the picture.
DecodedImage decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options = {});

// Both from a file.
ImageInfo probe_image_file(const std::filesystem::path& path, const DecodeOptions& options = {});
DecodedImage decode_image_file(const std::filesystem::path& path, const DecodeOptions& options = {});

// All damage and notes as one text, "" without any: "damage: wrong PNG checksum; 16-bit samples reduced to ...".
std::string remarks_on(const DecodedImage& decoded);

// The pixels alone, for callers that do not look at warnings.
Image load_image(const std::filesystem::path& path, const DecodeOptions& options = {});

// Whole file in memory. Throws Error(data) for a missing file, a folder, or a failing read.
std::vector<uint8_t> read_bytes(const std::filesystem::path& path);

}  // namespace tessera
