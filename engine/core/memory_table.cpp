#include "engine/core/memory_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace tessera {

std::string format_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024.0 && unit < 4) {
    bytes /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string format_memory_table(const AllocationStatistics& statistics) {
  std::vector<std::pair<std::string, AllocationUse>> rows(statistics.by_name.begin(), statistics.by_name.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.at_peak > b.second.at_peak; });
  std::string table = fmt::format("{:<24} {:>12} {:>12} {:>12}\n", "memory", "at peak", "own peak", "allocations");
  for (const auto& [name, use] : rows) {
    table += fmt::format("{:<24} {:>12} {:>12} {:>12}\n", name, format_bytes(static_cast<double>(use.at_peak)),
                         format_bytes(static_cast<double>(use.peak)), use.blocks);
  }
  table += fmt::format("{:<24} {:>12}\n", "total", format_bytes(static_cast<double>(statistics.peak)));
  return table;
}

}  // namespace tessera
