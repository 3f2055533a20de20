#include "engine/io/jsonl_log.h"

#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"

namespace tessera {

namespace {

bool keeps_line(const std::string& line, const JsonlLog::Keeps& keeps) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return false;
  const auto iteration = json.find("iteration"), type = json.find("type");
  if (!keeps || iteration == json.end() || !iteration->is_number_integer()) return true;
  const std::string name = type != json.end() && type->is_string() ? type->get<std::string>() : "";
  return keeps(name, iteration->get<int64_t>());
}

}  // namespace

JsonlLog::JsonlLog(const std::filesystem::path& file, const Keeps& keeps) {
  const std::string content = content_of(file);
  std::string kept;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;  // cut by a crash
    const std::string line = content.substr(begin, end - begin);
    if (keeps_line(line, keeps)) kept += line + "\n";
    begin = end + 1;
  }
  if (kept != content) write_file_atomic(file, kept);
  file_.emplace(file);
}

bool JsonlLog::write(std::string_view line) { return file_->write(std::string(line) + "\n"); }

}  // namespace tessera
