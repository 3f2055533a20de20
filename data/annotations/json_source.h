// Streams a file into nlohmann's SAX parser through one fixed buffer, and turns its complaints into one-line errors.
// For .cpp files that already include <nlohmann/json.hpp>.
#pragma once

#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "engine/core/error.h"

namespace tessera {

class JsonSource {
 public:
  // Throws Error(data) if the file cannot be read, is empty, or is UTF-16 or UTF-32 text.
  explicit JsonSource(const std::filesystem::path& file);
  ~JsonSource();
  JsonSource(const JsonSource&) = delete;
  JsonSource& operator=(const JsonSource&) = delete;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    explicit Iterator(JsonSource* source) : source_(source) {}
    reference operator*() const { return *source_->cursor_; }
    Iterator& operator++() {
      if (++source_->cursor_ == source_->end_) source_->fill();
      return *this;
    }
    // Only the comparison with the end is meaningful.
    bool operator==(const Iterator&) const { return source_->cursor_ == source_->end_; }

   private:
    JsonSource* source_;
  };
  Iterator begin() { return Iterator(this); }
  Iterator end() { return Iterator(this); }

  // For parse_error of a SAX handler: `what` is the parser's message, `last_token` what it read last.
  [[noreturn]] void syntax_error(size_t position, const std::string& last_token, const std::string& what) const;
  [[noreturn]] void too_deep(size_t limit) const;

 private:
  void fill();

  std::string name_;
  std::FILE* file_ = nullptr;
  std::vector<char> buffer_;
  const char* cursor_ = nullptr;
  const char* end_ = nullptr;
};

}  // namespace tessera
