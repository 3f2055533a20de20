#include "apps/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

namespace tessera {

namespace {

std::string read_text(const char* file) {
  std::ifstream stream(file);
  std::ostringstream text;
  if (stream && stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
  return text.str();
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n\r") - begin + 1);
}

// Calls visit(line) for every line.
template <typename Visit>
void for_lines(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<uint64_t> parse_number(std::string_view text) {
  text = trim(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

Processor find_processor() {
  Processor processor;
  const std::string model = parse_cpu_model(read_text("/proc/cpuinfo"));
  if (!model.empty()) processor.model = model;
  processor.cores = usable_cores();
  processor.quota = parse_cpu_max(read_text("/sys/fs/cgroup/cpu.max"));
#if defined(__x86_64__)
  __builtin_cpu_init();
  const auto add = [&](const char* name, bool there) {
    if (there) processor.instruction_sets.emplace_back(name);
  };
  add("sse4.2", __builtin_cpu_supports("sse4.2") != 0);
  add("avx", __builtin_cpu_supports("avx") != 0);
  add("avx2", __builtin_cpu_supports("avx2") != 0);
  add("fma", __builtin_cpu_supports("fma") != 0);
  add("bmi2", __builtin_cpu_supports("bmi2") != 0);
  add("avx512f", __builtin_cpu_supports("avx512f") != 0);
  add("avx512bw", __builtin_cpu_supports("avx512bw") != 0);
  add("avx512vl", __builtin_cpu_supports("avx512vl") != 0);
  add("avx512bf16", __builtin_cpu_supports("avx512bf16") != 0);
#endif
  return processor;
}

std::vector<std::string> compiled_instruction_sets() {
  std::vector<std::string> sets;
#ifdef __SSE4_2__
  sets.emplace_back("sse4.2");
#endif
#ifdef __AVX__
  sets.emplace_back("avx");
#endif
#ifdef __AVX2__
  sets.emplace_back("avx2");
#endif
#ifdef __FMA__
  sets.emplace_back("fma");
#endif
#ifdef __BMI2__
  sets.emplace_back("bmi2");
#endif
#ifdef __AVX512F__
  sets.emplace_back("avx512f");
#endif
#ifdef __AVX512BW__
  sets.emplace_back("avx512bw");
#endif
#ifdef __AVX512VL__
  sets.emplace_back("avx512vl");
#endif
#ifdef __AVX512BF16__
  sets.emplace_back("avx512bf16");
#endif
  return sets;
}

std::string compiler_text() {
#if defined(__clang__)
  std::string text = "clang " __clang_version__;
#else
  std::string text = "g++ " __VERSION__;
#endif
#ifdef __OPTIMIZE__
  text += ", optimised";
#else
  text += ", not optimised";
#endif
#ifdef __SANITIZE_ADDRESS__
  text += ", address sanitizer";
#endif
  const std::vector<std::string> sets = compiled_instruction_sets();
  return text + (sets.empty() ? "" : ", ") + join_words(sets, " ");
}

Memory find_memory() {
  Memory memory = parse_meminfo(read_text("/proc/meminfo"));
  memory.limit = parse_memory_max(read_text("/sys/fs/cgroup/memory.max"));
  if (memory.limit) memory.available = std::min(memory.available, *memory.limit);
  return memory;
}

Disk find_disk(const std::filesystem::path& folder) {
  Disk disk{folder, 0, access(folder.c_str(), W_OK) == 0};
  struct statvfs space {};
  if (statvfs(folder.c_str(), &space) == 0) disk.free = uint64_t(space.f_bavail) * space.f_frsize;
  return disk;
}

std::optional<std::string> find_gpu_driver() {
  const std::string text = read_text("/proc/driver/nvidia/version");
  const std::string_view line = trim(std::string_view(text).substr(0, text.find('\n')));
  if (!line.empty()) return std::string(line);
  std::error_code ignored;
  if (std::filesystem::exists("/dev/nvidia0", ignored)) return "NVIDIA device without version";
  return std::nullopt;
}

std::vector<LoadedLibrary> find_libraries() { return parse_maps(read_text("/proc/self/maps")); }

std::string join_words(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : between).append(word);
  return text;
}

std::string describe(const Processor& processor) {
  return fmt::format("{}, {} core{}{}{}", processor.model, processor.cores, processor.cores == 1 ? "" : "s",
                     processor.instruction_sets.empty() ? "" : ", ", join_words(processor.instruction_sets, " "));
}

std::string parse_cpu_model(std::string_view cpuinfo) {
  std::string model;
  for_lines(cpuinfo, [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (model.empty() && colon != std::string_view::npos && trim(line.substr(0, colon)) == "model name") {
      model = trim(line.substr(colon + 1));
    }
  });
  return model;
}

Memory parse_meminfo(std::string_view meminfo) {
  Memory memory;
  for_lines(meminfo, [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const uint64_t bytes = parse_number(line.substr(colon + 1)).value_or(0) * 1024;
    if (line.substr(0, colon) == "MemTotal") memory.total = bytes;
    if (line.substr(0, colon) == "MemAvailable") memory.available = bytes;
  });
  return memory;
}

std::optional<double> parse_cpu_max(std::string_view cpu_max) {
  const size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto time = parse_number(cpu_max.substr(0, space)), period = parse_number(cpu_max.substr(space));
  if (!time || !period || *period == 0) return std::nullopt;  // "max 100000": no limit
  return static_cast<double>(*time) / static_cast<double>(*period);
}

std::optional<uint64_t> parse_memory_max(std::string_view memory_max) { return parse_number(memory_max); }

std::vector<LoadedLibrary> parse_maps(std::string_view maps) {
  static constexpr std::array<std::string_view, 7> wanted = {"libturbojpeg", "libzip", "libgomp", "libfmt",
                                                             "libstdc++",    "libc",   "libcuda"};
  std::vector<LoadedLibrary> found;
  for_lines(maps, [&](std::string_view line) {
    const size_t slash = line.rfind('/');
    if (slash == std::string_view::npos) return;
    const std::string_view file = trim(line.substr(slash + 1));
    const std::string_view name = file.substr(0, std::min(file.find(".so"), file.find("-2.")));  // libc-2.31.so
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) return;
    if (std::any_of(found.begin(), found.end(), [&](const auto& one) { return one.name == name; })) return;
    found.push_back({std::string(name), std::string(file)});
  });
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

}  // namespace tessera
