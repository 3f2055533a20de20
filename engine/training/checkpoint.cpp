#include "engine/training/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>

#include "engine/core/error.h"
#include "engine/core/memory_table.h"
#include "engine/io/atomic_file.h"
#include "engine/training/finite_check.h"
#include "engine/training/weights.h"

namespace tessera {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint_";
constexpr std::string_view kSuffix = ".safetensors";

// The number in checkpoint_<number>.safetensors, -1 for other names.
int64_t iterations_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return -1;
  const char* begin = name.data() + kPrefix.size();
  const char* end = name.data() + name.size() - kSuffix.size();
  int64_t number = -1;
  const auto [parsed, status] = std::from_chars(begin, end, number);
  return status == std::errc() && parsed == end ? number : -1;
}

int64_t stored_iterations(const SafetensorsFile& file) {
  const auto found = file.metadata().find(std::string(kMetadataIteration));
  int64_t number = -1;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (status != std::errc() || end != text.data() + text.size()) number = -1;
  }
  if (number < 0) throw Error(ExitCode::weights, fmt::format("{}: no iteration in its metadata", file.path().string()));
  return number;
}

}  // namespace

void prepare_run_folder(const fs::path& folder, uint64_t bytes_needed) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  if (problem) throw WriteError(folder, "create the folder", problem.value());
  { AtomicFile probe(folder / "probe"); }
  const fs::space_info space = fs::space(folder, problem);
  if (!problem && space.available < bytes_needed) {
    throw Error(ExitCode::usage,
                fmt::format("{}: {} free, checkpoints need {}", folder.string(),
                            format_bytes(static_cast<double>(space.available)),
                            format_bytes(static_cast<double>(bytes_needed))),
                fmt::format("df -h {}", folder.string()));
  }
}

CheckpointFolder::CheckpointFolder(fs::path folder, int keep) : folder_(std::move(folder)), keep_(keep) {
  TESSERA_CHECK(keep_ >= 1, "keep {} checkpoints", keep_);
  remove_stale_temporaries(folder_);
}

fs::path CheckpointFolder::save(Context& context, const ParameterStore& store, int64_t iterations,
                                const Metadata& metadata) const {
  require_finite_parameters(context, iterations, store);
  const fs::path file = folder_ / fmt::format("{}{:08d}{}", kPrefix, iterations, kSuffix);
  Metadata all = metadata;
  all[std::string(kMetadataIteration)] = std::to_string(iterations);
  save_weights_and_momentum(context, file, store, all);
  write_file_atomic(folder_ / "LATEST", file.filename().string() + "\n");
  const std::vector<fs::path> present = files();
  for (size_t i = static_cast<size_t>(keep_); i < present.size(); ++i) {
    std::error_code ignored;
    if (present[i] != file) fs::remove(present[i], ignored);
  }
  return file;
}

std::optional<CheckpointFolder::Resumed> CheckpointFolder::resume(
    Context& context, ParameterStore& store, const std::function<void(const std::string&)>& warn) const {
  const std::vector<fs::path> present = files();
  for (const fs::path& path : present) {
    std::unique_ptr<SafetensorsFile> file;
    Resumed resumed;
    try {
      file = std::make_unique<SafetensorsFile>(path);
      file->verify();
      resumed = {stored_iterations(*file), file->metadata(), path};
    } catch (const Error& error) {
      warn(fmt::format("{}; trying the one before", error.what()));
      continue;
    }
    load_weights_and_momentum(context, store, *file);
    return resumed;
  }
  if (present.empty()) return std::nullopt;
  throw Error(ExitCode::weights, fmt::format("{}: all {} checkpoints are damaged", folder_.string(), present.size()),
              fmt::format("ls -l {}", folder_.string()));
}

std::vector<fs::path> CheckpointFolder::files() const {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, ignored)) {
    if (iterations_of(entry.path()) >= 0 && entry.is_regular_file(ignored)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return iterations_of(a) > iterations_of(b); });
  return found;
}

}  // namespace tessera
