// log.jsonl of a run: one JSON object per line, each line on its way to the disk before the next iteration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/io/append_file.h"

namespace tessera {

class JsonlLog {
 public:
  // Of a line with "iteration"; type is its "type", empty where it has none.
  using Keeps = std::function<bool(std::string_view type, int64_t iteration)>;

  // Appends to the file, or creates it. A last line cut by a crash is dropped, and lines that a resumed run will write
  // again: those that keeps() refuses; an empty function keeps all. Throws WriteError when the file cannot be opened or
  // rewritten.
  explicit JsonlLog(const std::filesystem::path& file, const Keeps& keeps = {});

  // line: one JSON object without line breaks. Whole line or nothing; false when the disk refused it.
  bool write(std::string_view line);
  int64_t dropped() const { return file_->dropped(); }

 private:
  std::optional<AppendFile> file_;
};

}  // namespace tessera
