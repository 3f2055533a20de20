#include "data/image/encode.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "data/image/jpeg.h"
#include "data/image/png.h"
#include "engine/core/error.h"

namespace tessera {

void write_bytes_atomic(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  const std::string temporary = fmt::format("{}.tmp.{}", path.string(), getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  const bool is_written = file && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  int error = is_written ? 0 : errno;
  if (file && std::fclose(file) != 0 && error == 0) error = errno;  // a full disk may show only here
  if (error == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return;
  std::remove(temporary.c_str());
  throw Error(ExitCode::data, fmt::format("{}: cannot be written: {}", path.string(), std::strerror(error)),
              "check that the folder exists, is writable and has space");
}

void write_png(const std::filesystem::path& path, const Image& image) { write_bytes_atomic(path, encode_png(image)); }

void write_jpeg(const std::filesystem::path& path, const Image& image, int quality) {
  write_bytes_atomic(path, encode_jpeg(image, quality));
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
