// Every version of kernels/lab/group_norm, and the shipped kernel, against the double-precision oracle; and what a
// large mean costs each of them.
#include "kernels/lab/group_norm/1_definition.h"
#include "kernels/lab/group_norm/2_moments.h"
#include "kernels/lab/group_norm/3_chunks.h"

#if !defined(__CUDACC__)  // nvcc only has to accept the kernels

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "tests/reference/group_norm.h"

namespace tessera {
namespace {

using Version = void (*)(DeviceContext&, const GroupNormForwardArgs&);
using Segments = std::vector<std::pair<int64_t, int64_t>>;  // first row, rows

void shipped(DeviceContext& context, const GroupNormForwardArgs& args) { group_norm_forward(context, args); }

const std::vector<std::pair<std::string, Version>>& versions() {
  static const std::vector<std::pair<std::string, Version>> all{
      {"1 definition", group_norm_lab::normalise_by_definition},
      {"2 moments", group_norm_lab::normalise_by_moments},
      {"3 chunks", group_norm_lab::normalise_by_chunks},
      {"shipped", shipped}};
  return all;
}

struct GroupNormCase {
  Segments segments;
  int64_t channels, groups;
  bool relu;
  double mean = 0;
};

// Largest error of each version, in the order of versions(). Device memory of the emulator is memory of the host.
std::vector<double> errors_of(const GroupNormCase& at) {
  int64_t rows = 0;
  std::vector<RowRange> ranges;
  for (const auto& [first, count] : at.segments) {
    ranges.push_back({first, count});
    rows = std::max(rows, first + count);
  }
  const auto values = [](int64_t count, uint64_t sample, double mean) {
    Rng rng(4, RandomPurpose::test, 0, sample);
    std::vector<float> result(static_cast<size_t>(count));
    for (float& value : result) value = static_cast<float>(mean + rng.normal());
    return result;
  };
  const std::vector<float> x = values(rows * at.channels, 1, at.mean), weight = values(at.channels, 2, 1),
                           bias = values(at.channels, 3, 0);
  const auto wide = [](const std::vector<float>& narrow) { return std::vector<double>(narrow.begin(), narrow.end()); };
  const std::vector<double> expected =
      reference::group_norm(wide(x), wide(weight), wide(bias), at.segments, at.groups, 1e-5, at.relu);
  std::vector<double> errors;
  for (const auto& [name, version] : versions()) {
    for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
      EmulatedContext context(schedule);
      std::vector<float> y(x.size(), NAN), mean(ranges.size() * static_cast<size_t>(at.groups)), rstd(mean.size());
      version(context, {x.data(), weight.data(), bias.data(), y.data(), mean.data(), rstd.data(), ranges.data(),
                        static_cast<int64_t>(ranges.size()), at.channels, at.groups, 1e-5f, at.relu});
      double error = 0;
      for (const auto& [first, count] : at.segments) {
        for (int64_t i = first * at.channels; i < (first + count) * at.channels; ++i) {
          const double difference = std::abs(y[static_cast<size_t>(i)] - expected[static_cast<size_t>(i)]);
          error = std::max(error, std::isnan(difference) ? INFINITY : difference);
        }
      }
      if (schedule.order == EmulatorSchedule::Order::forward) {
        errors.push_back(error);
      } else {
        EXPECT_EQ(error, errors.back()) << name << ": the order of threads changes the result";
      }
    }
  }
  return errors;
}

// Rows around a chunk of 128 and the eight rows of its threads, channels around the 32 of a block, an empty segment.
TEST(GroupNormLab, AgreesWithOracle) {
  for (const GroupNormCase& at : std::vector<GroupNormCase>{{{{0, 1}}, 1, 1, false},
                                                            {{{0, 63}, {63, 7}}, 12, 3, true},
                                                            {{{0, 128}, {128, 129}}, 32, 8, false},
                                                            {{{0, 300}, {300, 0}, {310, 9}}, 40, 10, true},
                                                            {{{2, 31}}, 70, 70, false}}) {
    const std::vector<double> errors = errors_of(at);
    for (size_t i = 0; i < errors.size(); ++i) EXPECT_LE(errors[i], 1e-5) << versions()[i].first << " " << at.channels;
  }
}

// Deviation 1 around a mean of 1000. A mean that is kept as a float is off by up to 2^-15, times the largest weight of
// about 4: 1.2e-4 where deviations are taken from it. A difference of moments of 10^6 is off by about 2^-24 * 10^6 =
// 0.06 of a variance of 1.
TEST(GroupNormLab, ALargeMeanCostsTheMomentsTheirDigits) {
  const std::vector<double> errors = errors_of({{{0, 500}}, 32, 4, false, 1000});
  ASSERT_EQ(errors.size(), 4u);
  EXPECT_LE(errors[0], 2e-4);
  EXPECT_GT(errors[1], 1e-3);
  EXPECT_GT(errors[2], 1e-3);
  EXPECT_LE(errors[3], 2e-4);
}

}  // namespace
}  // namespace tessera

#endif
