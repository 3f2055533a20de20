#include "engine/io/jsonl_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/io/atomic_file.h"

namespace tessera {

namespace {

bool keeps(const std::string& line, int64_t keep_before) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return false;
  const auto iteration = json.find("iteration");
  if (keep_before < 0 || iteration == json.end() || !iteration->is_number_integer()) return true;
  return iteration->get<int64_t>() < keep_before;
}

// Not fmt::print: it throws when stderr itself cannot be written, e.g. to a file on the same full disk.
void say(const std::string& warning) { std::fputs(("warning: " + warning + "\n").c_str(), stderr); }

}  // namespace

JsonlLog::JsonlLog(std::filesystem::path file, int64_t keep_before) : file_(std::move(file)) {
  if (std::filesystem::is_regular_file(file_)) {
    std::ifstream old(file_, std::ios::binary);
    std::ostringstream whole;
    whole << old.rdbuf();
    const std::string content = whole.str();
    std::string kept;
    for (size_t begin = 0; begin < content.size();) {
      const size_t end = content.find('\n', begin);
      if (end == std::string::npos) break;  // cut by a crash
      const std::string line = content.substr(begin, end - begin);
      if (keeps(line, keep_before)) kept += line + "\n";
      begin = end + 1;
    }
    if (kept != content) write_file_atomic(file_, kept);
  }
  descriptor_ = open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw WriteError(file_, "create", errno);
}

JsonlLog::~JsonlLog() { close(descriptor_); }

bool JsonlLog::write(std::string_view line) {
  const std::string text = std::string(line) + "\n";
  const off_t before = lseek(descriptor_, 0, SEEK_END);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t piece = ::write(descriptor_, text.data() + done, text.size() - done);
    if (piece < 0 && errno == EINTR) continue;
    if (piece <= 0) break;
    done += static_cast<size_t>(piece);
  }
  if (done == text.size()) return true;
  const int error_number = errno;
  if (done > 0 && ftruncate(descriptor_, before) != 0) {
    // The half line stays; the next start of the log drops it.
    say(fmt::format("{}: holds half a line", file_.string()));
  }
  if (++dropped_ == 1) say(fmt::format("{}; the run goes on", WriteError(file_, "write", error_number).what()));
  return false;
}

}  // namespace tessera
