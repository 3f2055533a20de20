#include "data/annotations/json_source.h"

#include <cerrno>
#include <cstring>

#include "engine/core/error.h"

namespace tessera {

JsonSource::JsonSource(const std::filesystem::path& file) : name_(file.string()), buffer_(size_t{1} << 18) {
  cursor_ = end_ = buffer_.data();
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw Error(ExitCode::data, name_ + ": is a folder, expected a JSON file", "name the file inside it");
  }
  file_ = std::fopen(name_.c_str(), "rb");
  if (file_ == nullptr) {
    throw Error(ExitCode::data, fmt::format("{}: cannot be opened: {}", name_, std::strerror(errno)),
                "check the path and its permissions: ls -l " + name_);
  }
  std::setvbuf(file_, nullptr, _IONBF, 0);  // fill() reads large pieces itself
  try {
    fill();
    const size_t bytes = static_cast<size_t>(end_ - cursor_);
    if (bytes == 0) throw Error(ExitCode::data, name_ + ": file is empty", "copy or export the file again");
    const auto byte = [&](size_t i) { return i < bytes ? static_cast<unsigned char>(cursor_[i]) : 0x20; };
    if ((byte(0) == 0xff && byte(1) == 0xfe) || (byte(0) == 0xfe && byte(1) == 0xff) || byte(0) == 0 || byte(1) == 0) {
      throw Error(ExitCode::data, name_ + ": text is UTF-16 or UTF-32 (byte 0), JSON files are UTF-8",
                  fmt::format("iconv -f UTF-16 -t UTF-8 {0} > {0}.utf8", name_));
    }
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

JsonSource::~JsonSource() { std::fclose(file_); }

void JsonSource::fill() {
  consumed_ += static_cast<uint64_t>(end_ - buffer_.data());
  const size_t bytes = std::fread(buffer_.data(), 1, buffer_.size(), file_);
  if (bytes == 0 && std::ferror(file_) != 0) {
    throw Error(ExitCode::data, fmt::format("{}: cannot be read: {}", name_, std::strerror(errno)));
  }
  cursor_ = buffer_.data();
  end_ = cursor_ + bytes;
}

}  // namespace tessera
