// A file that grows by whole records while a run goes on: a log never stops a run, so a record that the disk refuses is
// dropped, and said once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tessera {

class AppendFile {
 public:
  // Creates the file where absent. Throws WriteError when it cannot be opened.
  explicit AppendFile(std::filesystem::path file);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // All of the record or nothing, on its way to the disk when this returns; false when the disk refused it.
  bool write(std::string_view record);
  int64_t dropped() const { return dropped_; }

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  int64_t dropped_ = 0;
};

// The whole content of a file, empty where there is none.
std::string content_of(const std::filesystem::path& file);

// Not through fmt, which throws when stderr itself cannot be written, e.g. to a file on the same full disk.
void warn_about_file(std::string_view text);

}  // namespace tessera
