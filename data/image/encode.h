// Pictures to files, through engine/io/atomic_file.h: a file appears whole or not at all.
#pragma once

#include <filesystem>

#include "data/image/image.h"

namespace tessera {

// By extension: .jpg and .jpeg as JPEG (quality 92, full chroma), anything else as PNG. Throws WriteError where the
// file cannot be written; the folder must exist.
void write_image(const std::filesystem::path& path, const Image& image);
void write_png(const std::filesystem::path& path, const Image& image);
void write_jpeg(const std::filesystem::path& path, const Image& image, int quality = 92);

}  // namespace tessera
