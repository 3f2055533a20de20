// A JSON file read through one fixed buffer, byte by byte, with the place for error messages.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera {

class JsonSource {
 public:
  // Throws Error(data) if the file cannot be read, is empty, or is UTF-16 or UTF-32 text.
  explicit JsonSource(const std::filesystem::path& file);
  ~JsonSource();
  JsonSource(const JsonSource&) = delete;
  JsonSource& operator=(const JsonSource&) = delete;

  static constexpr int kEnd = -1;
  // The next byte, 0..255, or kEnd.
  int peek() const { return cursor_ != end_ ? static_cast<unsigned char>(*cursor_) : kEnd; }
  void advance() {
    if (++cursor_ == end_) fill();
  }
  // The bytes that are in the buffer, for loops over plain text; advance_by at most that many.
  const char* cursor() const { return cursor_; }
  size_t available() const { return static_cast<size_t>(end_ - cursor_); }
  void advance_by(size_t count) {
    cursor_ += count;
    if (cursor_ == end_) fill();
  }
  uint64_t position() const { return consumed_ + static_cast<uint64_t>(cursor_ - buffer_.data()); }
  const std::string& name() const { return name_; }

 private:
  void fill();

  std::string name_;
  std::FILE* file_ = nullptr;
  std::vector<char> buffer_;
  const char* cursor_ = nullptr;
  const char* end_ = nullptr;
  uint64_t consumed_ = 0;  // bytes of earlier fillings
};

}  // namespace tessera
