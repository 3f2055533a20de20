#include "engine/ops/max_pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/ops/op_check.h"
#include "tests/reference/max_pool.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::PoolingCase;

// Values that differ by at least one step: a window never has two largest cells.
OpInput distinct_input(const Shape& shape) {
  OpInput input = random_input(shape, 1);
  for (size_t i = 0; i < input.values.size(); ++i) {
    input.values[i] = static_cast<double>(i * 7919 % 10007) / 64 - 60;
  }
  return input;
}

TEST(MaxPool, AgreesWithOracle) {
  for (const PoolingCase& at : {PoolingCase{1, 8, 8, 4, 3, 2, 1},
                                {2, 7, 5, 19, 3, 2, 1},
                                {1, 1, 1, 3, 3, 2, 1},
                                {1, 6, 7, 8, 2, 2, 0},
                                {1, 5, 9, 2, 1, 2, 0},
                                {0, 4, 4, 3, 3, 2, 1},
                                {1, 9, 9, 3, 5, 1, 2},
                                {1, 5, 4, 36, 3, 2, 1},
                                {1, 2, 2, 3, 3, 1, 0}}) {
    check_op(
        fmt::format("max_pool {}x{} window {} stride {}", at.height, at.width, at.window, at.stride),
        {distinct_input({at.images, at.height, at.width, at.channels})},
        [&](Tape& tape, const std::vector<Variable>& x) {
          return max_pool(tape, x[0],
                          {static_cast<int>(at.window), static_cast<int>(at.stride), static_cast<int>(at.padding)});
        },
        [&](const auto& x) { return reference::max_pool(at, x[0]); });
  }
}

TEST(MaxPool, NotANumberWinsAndTiesGoToTheFirstCell) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> values{1, 1, 1, 1, nan, 7, 7, 7};
    const Variable x = tape.input(Tensor::from_host<float>(context, {2, 2, 2, 1}, values));
    const Variable y = max_pool(tape, x, {2, 2, 0});
    const std::vector<float> largest = y.value.to_host<float>(context);
    EXPECT_EQ(largest[0], 1.0f);
    EXPECT_TRUE(std::isnan(largest[1]));
    const std::vector<float> ones{1, 1};
    tape.backward(y, Tensor::from_host<float>(context, y.shape(), ones));
    EXPECT_EQ(tape.gradient(x).to_host<float>(context), (std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0}));
  });
}

TEST(MaxPool, ForwardOnlyGivesTheSameValues) {
  const PoolingCase at{2, 7, 6, 5, 3, 2, 1};
  check_op_forward(
      "max_pool forward", {distinct_input({2, 7, 6, 5})},
      [](Tape& tape, const std::vector<Variable>& x) { return max_pool(tape, x[0]); },
      [&](const auto& x) { return reference::max_pool(at, x[0]); });
}

}  // namespace
}  // namespace tessera
