#include "engine/io/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "engine/io/atomic_file.h"

namespace tessera {

AppendFile::AppendFile(std::filesystem::path file) : file_(std::move(file)) {
  descriptor_ = open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw WriteError(file_, "create", errno);
}

AppendFile::~AppendFile() { close(descriptor_); }

bool AppendFile::write(std::string_view record) {
  const off_t before = lseek(descriptor_, 0, SEEK_END);
  size_t done = 0;
  while (done < record.size()) {
    const ssize_t piece = ::write(descriptor_, record.data() + done, record.size() - done);
    if (piece < 0 && errno == EINTR) continue;
    if (piece <= 0) break;
    done += static_cast<size_t>(piece);
  }
  if (done == record.size()) return true;
  const int error_number = errno;
  if (done > 0 && ftruncate(descriptor_, before) != 0) {
    // Half a record stays; the next start of the run drops it.
    warn_about_file(fmt::format("{}: holds half a record", file_.string()));
  }
  if (++dropped_ == 1) {
    warn_about_file(fmt::format("{}; the run goes on", WriteError(file_, "write", error_number).what()));
  }
  return false;
}

std::string content_of(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file)) return "";
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream whole;
  whole << stream.rdbuf();
  return whole.str();
}

void warn_about_file(std::string_view text) { std::fputs(fmt::format("warning: {}\n", text).c_str(), stderr); }

}  // namespace tessera
