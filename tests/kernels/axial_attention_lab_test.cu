// Every version of kernels/lab/axial_attention, and the shipped kernels, against the double-precision oracle; gradients
// against central differences of it.
#include "kernels/lab/axial_attention/1_stored_scores.h"
#include "kernels/lab/axial_attention/2_shared_scores.h"
#include "kernels/lab/axial_attention/3_online.h"
#include "kernels/lab/axial_attention/backward_stored_scores.h"

#if !defined(__CUDACC__)  // nvcc only has to accept the kernels

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "tests/reference/axial_attention.h"

namespace tessera {
namespace {

using Values = std::vector<double>;
using Forward = void (*)(DeviceContext&, const AxialAttentionForwardArgs&);
using Backward = void (*)(DeviceContext&, const AxialAttentionBackwardArgs&);

void shipped(DeviceContext& context, const AxialAttentionForwardArgs& args) { axial_attention_forward(context, args); }
void shipped_backward(DeviceContext& context, const AxialAttentionBackwardArgs& args) {
  axial_attention_backward(context, args);
}

const std::vector<std::pair<std::string, Forward>>& versions() {
  static const std::vector<std::pair<std::string, Forward>> all{
      {"1 stored scores", axial_attention_lab::attend_by_stored_scores},
      {"2 shared scores", axial_attention_lab::attend_by_shared_scores},
      {"3 online", axial_attention_lab::attend_by_online_softmax},
      {"shipped", shipped}};
  return all;
}

const std::vector<std::pair<std::string, Backward>>& backward_versions() {
  static const std::vector<std::pair<std::string, Backward>> all{
      {"stored scores", axial_attention_lab::attend_backward_by_stored_scores}, {"shipped", shipped_backward}};
  return all;
}

struct AttentionCase {
  int64_t images, height, width, channels, heads;
  double deviation = 1;

  int64_t cells() const { return images * height * width; }
  Values query() const { return values(cells() * channels, 1); }
  Values key_value() const { return values(cells() * 2 * channels, 2); }
  Values cotangent() const { return values(cells() * channels, 3); }
  Values expected(const Values& query, const Values& key_value, bool along_columns) const {
    return reference::axial_attention(query, key_value, images, height, width, channels, heads, along_columns);
  }

 private:
  Values values(int64_t count, uint64_t sample) const {
    Rng rng(6, RandomPurpose::test, 0, sample);
    Values result(static_cast<size_t>(count));
    for (double& value : result) value = static_cast<float>(deviation * rng.normal());
    return result;
  }
};

std::vector<float> narrow(const Values& values) { return {values.begin(), values.end()}; }

// An error of a score is one of its probability, relative: the tolerance grows with them.
void expect_near(const std::string& where, const std::vector<float>& computed, const Values& expected,
                 double tolerance) {
  double largest = 0, error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(computed[i] - expected[i]);
    error = std::max(error, std::isnan(difference) ? INFINITY : difference);
    largest = std::max(largest, std::abs(expected[i]));
  }
  EXPECT_LE(error, tolerance * largest) << where;
}

// Calls run(context) in both schedules; the bits of what it returns must be the same.
template <typename Run>
std::vector<float> in_both_schedules(const std::string& name, Run&& run) {
  EmulatedContext forward(EmulatorSchedule::forward()), shuffled(EmulatorSchedule::shuffled());
  const std::vector<float> result = run(forward);
  EXPECT_EQ(run(shuffled), result) << name << ": the order of threads changes the result";
  return result;
}

void check_forward(const AttentionCase& at, double tolerance = 1e-5) {
  const std::vector<float> query = narrow(at.query()), key_value = narrow(at.key_value());
  const AttentionMap map{at.images, at.height, at.width, 0};
  for (const bool along_columns : {true, false}) {
    const Values expected = at.expected(at.query(), at.key_value(), along_columns);
    for (const auto& [name, version] : versions()) {
      const std::vector<float> y = in_both_schedules(name, [&, attend = version](DeviceContext& context) {
        std::vector<float> result(query.size(), NAN);
        attend(context,
               {{&map, 1}, query.data(), key_value.data(), result.data(), at.channels, at.heads, along_columns});
        return result;
      });
      expect_near(name, y, expected, tolerance);
    }
  }
}

TEST(AxialAttentionLab, ForwardAgreesWithOracle) {
  check_forward({1, 1, 1, 1, 1});
  check_forward({2, 5, 3, 12, 3});
  check_forward({1, 17, 2, 40, 2});  // lines around a tile of 16, heads around 16 channels
  check_forward({1, 33, 1, 32, 1});  // around the 32 keys of version 3, the widest head
}

// The longest line of version 2, all threads of a block.
TEST(AxialAttentionLab, ForwardOnLongLines) {
  check_forward({1, 128, 1, 10, 1});
  check_forward({1, 2, 127, 8, 2});
}

// Scores in the hundreds: exp of them would overflow.
TEST(AxialAttentionLab, LargeScores) { check_forward({1, 20, 2, 16, 1, 8}, 2e-4); }

TEST(AxialAttentionLab, LimitsAreRefused) {
  const AttentionMap map{1, 1, 129, 0};
  const std::vector<float> query(129 * 33), key_value(2 * query.size());
  std::vector<float> y(query.size());
  const AxialAttentionForwardArgs args{{&map, 1}, query.data(), key_value.data(), y.data(), 33, 1, false};
  EmulatedContext context;
  EXPECT_THROW(axial_attention_lab::attend_by_shared_scores(context, args), std::length_error);
  EXPECT_THROW(axial_attention_lab::attend_by_online_softmax(context, args), std::length_error);
}

TEST(AxialAttentionLab, BackwardAgreesWithOracle) {
  for (const AttentionCase& at : {AttentionCase{1, 1, 1, 2, 1}, {2, 5, 3, 6, 3}, {1, 19, 1, 10, 1}}) {
    const std::vector<float> query = narrow(at.query()), key_value = narrow(at.key_value()),
                             dy = narrow(at.cotangent());
    const AttentionMap map{at.images, at.height, at.width, 0};
    for (const bool along_columns : {true, false}) {
      Values inputs = at.query();
      const Values pairs = at.key_value(), cotangent = at.cotangent();
      const size_t queries = inputs.size();
      inputs.insert(inputs.end(), pairs.begin(), pairs.end());
      const auto loss = [&] {
        const Values y = at.expected({inputs.begin(), inputs.begin() + static_cast<int64_t>(queries)},
                                     {inputs.begin() + static_cast<int64_t>(queries), inputs.end()}, along_columns);
        double sum = 0;
        for (size_t i = 0; i < y.size(); ++i) sum += cotangent[i] * y[i];
        return sum;
      };
      Values expected;
      for (double& input : inputs) {
        const double kept = input, step = 1e-5;
        input = kept + step;
        const double above = loss();
        input = kept - step;
        expected.push_back((above - loss()) / (2 * step));
        input = kept;
      }
      for (const auto& [name, version] : backward_versions()) {
        const std::vector<float> gradients = in_both_schedules(name, [&, attend = version](DeviceContext& context) {
          std::vector<float> result(inputs.size(), NAN);
          attend(context, {{&map, 1},
                           query.data(),
                           key_value.data(),
                           dy.data(),
                           result.data(),
                           result.data() + queries,
                           at.channels,
                           at.heads,
                           along_columns});
          return result;
        });
        expect_near(name, gradients, expected, 2e-5);
      }
    }
  }
}

}  // namespace
}  // namespace tessera

#endif
