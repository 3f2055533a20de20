#include "apps/check_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace tessera {
namespace {

OpCheck check_giving(const std::vector<float>& on_cpu, const std::vector<float>& on_device, bool exact, double terms) {
  return {"made up", terms, [=](Context& context) -> std::vector<CheckedTensor> {
            return {{"y", context.backend() == Backend::cpu ? on_cpu : on_device, exact}};
          }};
}

OpComparison compare(const OpCheck& check) {
  CpuContext cpu(1);
  EmulatedContext device;
  return compare_op(check, cpu, device);
}

TEST(CheckOps, RoundingIsAllowedAndNothingElse) {
  const float bit = 0x1p-23f;
  EXPECT_TRUE(compare(check_giving({1, 8}, {1 + 32 * bit, 8}, false, 1)).agrees());  // 16 * 2^-24 of 8
  EXPECT_FALSE(compare(check_giving({1, 8}, {1 + 80 * bit, 8}, false, 1)).agrees());
  EXPECT_TRUE(compare(check_giving({1, 8}, {1 + 80 * bit, 8}, false, 4)).agrees());
  EXPECT_FALSE(compare(check_giving({1, 8}, {1 + bit, 8}, true, 100)).agrees());
  EXPECT_TRUE(compare(check_giving({1, NAN}, {1, NAN}, false, 1)).agrees());
  EXPECT_FALSE(compare(check_giving({1, 2}, {1, NAN}, false, 1)).agrees());
  EXPECT_FALSE(compare(check_giving({1, NAN}, {1, 2}, false, 1)).agrees());
  EXPECT_FALSE(compare(check_giving({1, INFINITY}, {1, -INFINITY}, false, 1)).agrees());
  EXPECT_FALSE(compare(check_giving({0, 0}, {0, bit}, false, 1)).agrees());
  EXPECT_FALSE(compare(check_giving({1, 2}, {1}, false, 1)).agrees());
}

TEST(CheckOps, ADeviceThatThrowsDoesNotEndTheCheck) {
  const OpComparison comparison = compare({"broken", 1, [](Context& context) -> std::vector<CheckedTensor> {
                                             if (context.backend() != Backend::cpu) throw std::runtime_error("no");
                                             return {};
                                           }});
  EXPECT_FALSE(comparison.agrees());
  EXPECT_EQ(comparison.error, "no");
  const auto json = nlohmann::json::parse(comparisons_json({comparison}, "emulated"));
  EXPECT_EQ(json["agrees"], false);
  EXPECT_EQ(json["checks"][0]["error"], "no");
}

// Two contexts of the CPU: the same bits, whatever the number of threads; and every check looks at something.
TEST(CheckOps, EveryCheckRunsAndHasAName) {
  CpuContext one(1), two(2);
  std::set<std::string> names;
  for (const OpCheck& check : op_checks()) {
    const OpComparison comparison = compare_op(check, one, two);
    EXPECT_EQ(comparison.share_of_bound, 0) << check.name << " " << comparison.where;
    EXPECT_EQ(comparison.error, "") << check.name;
    EXPECT_GT(comparison.values, 0) << check.name;
    names.insert(check.name);
  }
  EXPECT_GT(names.size(), 75u);
}

}  // namespace
}  // namespace tessera
