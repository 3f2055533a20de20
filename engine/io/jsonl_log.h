// log.jsonl of a run: one JSON object per line, each line on its way to the disk before the next iteration. A log never
// stops a run: a line that cannot be written is dropped, and said once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tessera {

class JsonlLog {
 public:
  // Appends to the file, or creates it. A last line cut by a crash is dropped. keep_before: of a resumed run, the first
  // iteration it will do again: lines with an "iteration" at or above it are removed; -1 keeps all. Throws WriteError
  // when the file cannot be opened or rewritten.
  explicit JsonlLog(std::filesystem::path file, int64_t keep_before = -1);
  ~JsonlLog();
  JsonlLog(const JsonlLog&) = delete;
  JsonlLog& operator=(const JsonlLog&) = delete;

  // line: one JSON object without line breaks. Whole line or nothing; false when the disk refused it.
  bool write(std::string_view line);
  int64_t dropped() const { return dropped_; }

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  int64_t dropped_ = 0;
};

}  // namespace tessera
