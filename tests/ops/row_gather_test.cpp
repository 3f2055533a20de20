#include "engine/ops/row_gather.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/row_gather.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(RowGather, AgreesWithOracle) {
  for (const std::vector<int32_t>& index :
       std::vector<std::vector<int32_t>>{{0}, {6, 0, 3}, {2, 2, 2, 5, 2}, {0, 1, 2, 3, 4, 5, 6, 0}, {}}) {
    for (const int64_t channels : {1, 4, 19}) {
      check_op(
          "row_gather", {random_input({7, channels}, 1)},
          [&](Tape& tape, const std::vector<Variable>& in) {
            const int64_t count = static_cast<int64_t>(index.size());
            return row_gather(tape, in[0], Tensor::from_host<int32_t>(tape.context(), {count}, index));
          },
          [&](const auto& in) { return reference::row_gather(in[0], index, static_cast<size_t>(channels)); });
    }
  }
}

// More indices than a warp looks at together, and rows longer than a warp; some rows never, some many times.
TEST(RowGather, ManyRepeats) {
  std::vector<int32_t> index;
  for (int32_t j = 0; j < 75; ++j) index.push_back(j * j % 11);
  for (const int64_t channels : {3, 36}) {
    check_op(
        "row_gather", {random_input({13, channels}, 3)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return row_gather(tape, in[0], Tensor::from_host<int32_t>(tape.context(), {75}, index));
        },
        [&](const auto& in) { return reference::row_gather(in[0], index, static_cast<size_t>(channels)); });
  }
}

// The list of one row longer than a block, and many short lists beside it; channels around a warp. On devices the
// lists must come out sorted whatever the order of threads: sums in another order have other bits.
TEST(RowGather, LongListsAreSummedInTheirOrder) {
  constexpr int64_t kRows = 40;
  std::vector<int32_t> index;
  for (int32_t j = 0; j < 700; ++j) index.push_back(j % 3 == 0 ? j * 7 % 41 - 1 : 5);  // -1: no row
  const int64_t count = static_cast<int64_t>(index.size());
  for (const int64_t channels : {1, 33}) {
    const OpInput dy = random_input({count, channels}, 4);
    std::vector<float> expected(static_cast<size_t>(kRows * channels)), given(dy.values.begin(), dy.values.end());
    for (size_t j = 0; j < index.size(); ++j) {
      if (index[j] < 0) continue;
      for (int64_t c = 0; c < channels; ++c) {
        expected[static_cast<size_t>(index[j] * channels + c)] +=
            given[j * static_cast<size_t>(channels) + static_cast<size_t>(c)];
      }
    }
    for_each_backend([&](Context& context) {
      Tape tape(context);
      const Variable x = tape.input(Tensor::zeros(context, {kRows, channels}));
      const Variable y = row_gather(tape, x, Tensor::from_host<int32_t>(context, {count}, index));
      tape.backward(y, Tensor::from_host<float>(context, {count, channels}, given));
      EXPECT_EQ(tape.gradient(x).to_host<float>(context), expected);
    });
  }
}

TEST(RowGather, ForeignRowsAreNotNumbersAndGetNoGradient) {
  for_each_backend([](Context& context) {
    for (const int32_t row : {-1, 3}) {
      Tape tape(context);
      const Variable x = tape.input(Tensor::zeros(context, {3, 2}));
      const Variable y = row_gather(tape, x, Tensor::from_host<int32_t>(context, {2}, std::vector<int32_t>{row, 1}));
      const std::vector<float> values = y.value.to_host<float>(context);
      EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[1]) && values[2] == 0 && values[3] == 0);
      tape.backward(y, Tensor::from_host<float>(context, {2, 2}, std::vector<float>{1, 2, 3, 4}));
      EXPECT_EQ(tape.gradient(x).to_host<float>(context), (std::vector<float>{0, 0, 3, 4, 0, 0}));
    }
  });
}

TEST(RowGather, DoesNotDependOnTheNumberOfThreads) {
  std::vector<int32_t> index;
  for (int32_t j = 0; j < 500; ++j) index.push_back(j * j % 97);
  expect_same_bits_for_any_threads(
      "row_gather", {random_input({100, 2000}, 2)}, [&](Tape& tape, const std::vector<Variable>& in) {
        return row_gather(tape, in[0], Tensor::from_host<int32_t>(tape.context(), {500}, index));
      });
}

}  // namespace
}  // namespace tessera
