#include "data/image/encode.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "data/image/jpeg.h"
#include "data/image/png.h"
#include "engine/io/atomic_file.h"

namespace tessera {

void write_png(const std::filesystem::path& path, const Image& image) {
  write_file_atomic(path, encode_png(image), Durability::in_cache);
}

void write_jpeg(const std::filesystem::path& path, const Image& image, int quality) {
  write_file_atomic(path, encode_jpeg(image, quality), Durability::in_cache);
}

void write_image(const std::filesystem::path& path, const Image& image) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (extension == ".jpg" || extension == ".jpeg")
    write_jpeg(path, image);
  else
    write_png(path, image);
}

}  // namespace tessera
