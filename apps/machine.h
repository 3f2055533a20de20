// What the machine offers this process, as Linux says it: processor, memory, disk, GPU driver, loaded libraries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

struct Processor {
  std::string model = "unknown";
  int cores = 0;                              // this process may run on
  std::optional<double> quota;                // cores' worth of time a container allows
  std::vector<std::string> instruction_sets;  // of those the kernels can use: "avx2", "fma", "avx512f", ...
};

struct Memory {
  uint64_t total = 0, available = 0;  // bytes; 0 where unknown
  std::optional<uint64_t> limit;      // bytes a container allows
};

struct Disk {
  std::filesystem::path folder;
  uint64_t free = 0;  // bytes, for this user
  bool writable = false;
};

struct LoadedLibrary {
  std::string name;  // "libturbojpeg"
  std::string file;  // "libturbojpeg.so.0.2.0": the version of the interface is in the name
};

Processor find_processor();
Memory find_memory();
// Throws nothing: an unusable folder has no space and is not writable.
Disk find_disk(const std::filesystem::path& folder);
// The version line of the NVIDIA kernel driver, nothing where there is none.
std::optional<std::string> find_gpu_driver();
// Of those that decide about results and speed.
std::vector<LoadedLibrary> find_libraries();

// "AMD EPYC, 2 cores, avx2 fma".
std::string describe(const Processor& processor);
// "avx2 fma". Not fmt::join: g++ 12 at -O3 warns falsely about its format parser.
std::string join_words(const std::vector<std::string>& words, std::string_view between);
// Sets this binary was compiled for, in the names of Processor::instruction_sets.
std::vector<std::string> compiled_instruction_sets();
// "g++ 12.2.0, optimised, x86-64 avx2 fma".
std::string compiler_text();

// The parsers, on the text of the files of the same names.
std::string parse_cpu_model(std::string_view cpuinfo);
Memory parse_meminfo(std::string_view meminfo);
std::optional<double> parse_cpu_max(std::string_view cpu_max);          // cgroup v2 "150000 100000" = 1.5
std::optional<uint64_t> parse_memory_max(std::string_view memory_max);  // cgroup v2 bytes or "max"
std::vector<LoadedLibrary> parse_maps(std::string_view maps);

}  // namespace tessera
