// A whole file as read-only memory; its pages are read when they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace tessera {

class MappedFile {
 public:
  // Throws Error(weights) for what cannot be opened or is not a file.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  // Tells the system that these bytes are not needed again, so that they do not count as memory of the process.
  void forget(size_t begin, size_t end) const;

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tessera
