#include "engine/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace tessera {

namespace {

namespace fs = std::filesystem;

FileFault file_fault;

// The result of a system call that reports failure by -1, or the injected failure in its place.
template <typename Call>
int64_t attempt(FileStep step, uint64_t written, Call&& call) {
  int64_t result;
  do {
    const int injected = file_fault ? file_fault(step, written) : 0;
    result = injected != 0 ? -1 : call();
    if (injected != 0) errno = injected;
  } while (result < 0 && errno == EINTR);
  return result;
}

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

std::string hint_for(const fs::path& file, int error_number) {
  const std::string folder = folder_of(file).string();
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return fmt::format("df -h {}", folder);
    case ENOENT:
      return fmt::format("mkdir -p {}", folder);
    case EIO:
      return "dmesg | tail";
    default:
      return fmt::format("ls -ld {}", folder);
  }
}

// ".tmp-123-4" at the end of a name.
bool is_temporary_name(const std::string& name) {
  const size_t mark = name.rfind(".tmp-");
  if (mark == std::string::npos) return false;
  const std::string tail = name.substr(mark + 5);
  const size_t dash = tail.find('-');
  if (dash == std::string::npos || dash == 0 || dash + 1 == tail.size()) return false;
  for (size_t i = 0; i < tail.size(); ++i) {
    if (i != dash && !std::isdigit(static_cast<unsigned char>(tail[i]))) return false;
  }
  return true;
}

}  // namespace

WriteError::WriteError(const fs::path& file, const char* action, int error_number)
    : Error(ExitCode::usage,
            fmt::format("{}: cannot {}: {}", file.string(), action, std::generic_category().message(error_number)),
            hint_for(file, error_number)),
      error_number_(error_number) {}

AtomicFile::AtomicFile(fs::path target, Durability durability) : target_(std::move(target)), durability_(durability) {
  static std::atomic<uint64_t> serial{0};
  temporary_ = target_;
  temporary_ += fmt::format(".tmp-{}-{}", getpid(), serial++);
  descriptor_ = static_cast<int>(attempt(FileStep::open, 0, [&] {
    // Not O_EXCL: a leftover of a killed process that had the same id may be overwritten.
    return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }));
  if (descriptor_ < 0) throw WriteError(target_, "create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* action, int error_number) {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  unlink(temporary_.c_str());
  temporary_.clear();
  throw WriteError(target_, action, error_number);
}

void AtomicFile::write(const void* data, size_t bytes) {
  TESSERA_CHECK(descriptor_ >= 0, "'{}' is closed", target_.string());
  const char* rest = static_cast<const char*>(data);
  while (bytes > 0) {
    // Linux writes at most 2 GiB a call; short writes are ordinary near the end of a disk.
    const size_t piece = std::min<size_t>(bytes, size_t{1} << 30);
    const int64_t done = attempt(FileStep::write, written_, [&] { return ::write(descriptor_, rest, piece); });
    if (done < 0) fail("write", errno);
    rest += done;
    bytes -= static_cast<size_t>(done);
    written_ += static_cast<uint64_t>(done);
  }
}

void AtomicFile::commit() {
  TESSERA_CHECK(descriptor_ >= 0, "'{}' is closed", target_.string());
  const bool durable = durability_ == Durability::on_disk;
  if (durable && attempt(FileStep::sync, written_, [&] { return fsync(descriptor_); }) < 0) fail("write", errno);
  // Network file systems report a full disk at close. After EINTR the descriptor is gone: no second attempt.
  const int closed = close(descriptor_) < 0 && errno != EINTR ? -1 : 0;
  descriptor_ = -1;
  if (attempt(FileStep::close, written_, [&] { return closed; }) < 0) fail("write", errno);
  if (attempt(FileStep::rename, written_, [&] { return rename(temporary_.c_str(), target_.c_str()); }) < 0)
    fail("replace", errno);
  temporary_.clear();
  if (!durable) return;
  const int folder = open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int64_t synced = attempt(FileStep::sync_folder, written_, [&] { return folder < 0 ? -1 : fsync(folder); });
  const int error_number = errno;
  if (folder >= 0) close(folder);
  // Some file systems cannot sync folders; they order renames themselves or not at all.
  if (synced < 0 && error_number != EINVAL && error_number != ENOTSUP && error_number != EACCES)
    throw WriteError(target_, "sync the folder", error_number);
}

void write_file_atomic(const fs::path& target, std::string_view content, Durability durability) {
  AtomicFile file(target, durability);
  file.write(content);
  file.commit();
}

void write_file_atomic(const fs::path& target, std::span<const uint8_t> content, Durability durability) {
  write_file_atomic(target, {reinterpret_cast<const char*>(content.data()), content.size()}, durability);
}

int remove_stale_temporaries(const fs::path& folder) {
  int removed = 0;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.is_regular_file(ignored) || !is_temporary_name(entry.path().filename().string())) continue;
    if (fs::remove(entry.path(), ignored)) ++removed;
  }
  return removed;
}

void set_file_fault(FileFault fault) { file_fault = std::move(fault); }

}  // namespace tessera
