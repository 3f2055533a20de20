#include "apps/check_ops.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {

namespace {

// Largest difference of two tensors over the bound. NaN agrees with NaN.
double share_of_bound(const CheckedTensor& expected, const CheckedTensor& computed, double terms) {
  if (expected.values.size() != computed.values.size()) return std::numeric_limits<double>::infinity();
  double largest = 0, difference = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double a = expected.values[i], b = computed.values[i];
    if (std::isnan(a) && std::isnan(b)) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) {
      if (a != b) return std::numeric_limits<double>::infinity();
      continue;
    }
    largest = std::max(largest, std::abs(a));
    difference = std::max(difference, std::abs(a - b));
  }
  if (difference == 0) return 0;
  const double bound = expected.exact ? 0 : 16 * std::sqrt(terms) * 0x1p-24 * largest;
  return bound > 0 ? difference / bound : std::numeric_limits<double>::infinity();
}

}  // namespace

OpComparison compare_op(const OpCheck& check, Context& cpu, Context& device) {
  OpComparison comparison{check.name, 0, 0, "", ""};
  const std::vector<CheckedTensor> expected = check.run(cpu);
  std::vector<CheckedTensor> computed;
  try {
    computed = check.run(device);
  } catch (const std::exception& error) {
    comparison.error = error.what();
    return comparison;
  }
  TESSERA_CHECK(expected.size() == computed.size(), "{}: {} tensors on the CPU, {} on the device", check.name,
                expected.size(), computed.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    comparison.values += static_cast<int64_t>(expected[i].values.size());
    const double share = share_of_bound(expected[i], computed[i], check.terms);
    if (share <= comparison.share_of_bound) continue;
    comparison.share_of_bound = share;
    comparison.where = expected[i].name;
  }
  return comparison;
}

void print_comparisons(const std::vector<OpComparison>& comparisons, const std::string& device) {
  fmt::print("{} beside the cpu backend; 1 is the largest difference that roundings explain\n", device);
  fmt::print("{:<60} {:>8} {:>8}\n", "op", "values", "of bound");
  size_t wrong = 0;
  for (const OpComparison& row : comparisons) {
    wrong += row.agrees() ? 0 : 1;
    fmt::print("{:<60} {:>8} {:>8.3f}  {}\n", row.name, row.values, row.share_of_bound,
               row.agrees() ? "" : "WRONG: " + (row.error.empty() ? row.where : row.error));
  }
  if (wrong == 0) {
    fmt::print("all {} agree\n", comparisons.size());
  } else {
    fmt::print("{} of {} are wrong\n", wrong, comparisons.size());
  }
}

std::string comparisons_json(const std::vector<OpComparison>& comparisons, const std::string& device) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  bool all = true;
  for (const OpComparison& row : comparisons) {
    all = all && row.agrees();
    nlohmann::ordered_json entry{{"op", row.name}, {"values", row.values}, {"agrees", row.agrees()}};
    if (std::isfinite(row.share_of_bound)) entry["share_of_bound"] = row.share_of_bound;
    if (!row.where.empty()) entry["where"] = row.where;
    if (!row.error.empty()) entry["error"] = row.error;
    rows.push_back(entry);
  }
  return nlohmann::ordered_json{{"bench", "ops"}, {"device", device}, {"agrees", all}, {"checks", rows}}.dump(2) + "\n";
}

}  // namespace tessera
