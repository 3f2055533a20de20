// Pictures to files. A file appears whole or not at all: written under a temporary name beside it, then renamed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "data/image/image.h"

namespace tessera {

// By extension: .jpg and .jpeg as JPEG (quality 92, full chroma), anything else as PNG. Throws Error(data) where the
// file cannot be written; the folder must exist.
void write_image(const std::filesystem::path& path, const Image& image);
void write_png(const std::filesystem::path& path, const Image& image);
void write_jpeg(const std::filesystem::path& path, const Image& image, int quality = 92);

// The primitive under them; on failure an existing file is left as it was and the temporary one is removed.
void write_bytes_atomic(const std::filesystem::path& path, std::span<const uint8_t> bytes);

}  // namespace tessera
