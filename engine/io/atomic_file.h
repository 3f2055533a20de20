// Files that appear whole or not at all: written under a temporary name beside the target, fsync, close, rename, fsync
// of the folder. Everything the program leaves behind (checkpoints, weights, results, reports) is written through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace tessera {

// The place given for output cannot be written: Error(usage) with the errno behind it, "FILE: cannot write: No space
// left on device". Whatever stood under the target's name before is still there.
class WriteError : public Error {
 public:
  WriteError(const std::filesystem::path& file, const char* action, int error_number);
  int error_number() const { return error_number_; }

 private:
  int error_number_;
};

// What a commit waits for. A process that is killed leaves whole files in both cases; only `on_disk` survives a power
// cut. `in_cache` is for what can be made again: pictures, reports.
enum class Durability : uint8_t { on_disk, in_cache };

class AtomicFile {
 public:
  // Creates "<target>.tmp-<pid>-<serial>". Throws WriteError, as all below.
  explicit AtomicFile(std::filesystem::path target, Durability durability = Durability::on_disk);
  ~AtomicFile();  // removes the temporary file unless committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // The file stands under its name when this returns.
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int error_number);

  std::filesystem::path target_, temporary_;
  Durability durability_;
  int descriptor_ = -1;
  uint64_t written_ = 0;
};

void write_file_atomic(const std::filesystem::path& target, std::string_view content,
                       Durability durability = Durability::on_disk);
void write_file_atomic(const std::filesystem::path& target, std::span<const uint8_t> content,
                       Durability durability = Durability::on_disk);

// Removes what killed writers left in a folder; returns how many. Only for a folder that nobody else writes to now.
int remove_stale_temporaries(const std::filesystem::path& folder);

// For tests: asked before every step of every AtomicFile; an errno other than 0 makes that step fail. `written` counts
// the bytes of the file so far. An empty function removes it. Not thread safe.
enum class FileStep : uint8_t { open, write, sync, close, rename, sync_folder };
using FileFault = std::function<int(FileStep step, uint64_t written)>;
void set_file_fault(FileFault fault);

}  // namespace tessera
