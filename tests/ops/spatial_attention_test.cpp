#include "engine/ops/spatial_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/spatial_attention.h"

namespace tessera {
namespace {

using namespace testing_support;

const std::vector<Shape> kShapes = {{1, 1, 1, 1},  {2, 3, 4, 5},  {3, 1, 7, 17},
                                    {1, 5, 5, 16}, {1, 1, 3, 68}, {0, 2, 2, 3}};

TEST(SpatialPool, AgreesWithOracle) {
  for (const Shape& shape : kShapes) {
    check_op(
        "spatial_pool " + shape.to_string(), {random_input(shape, 1)},
        [](Tape& tape, const std::vector<Variable>& in) { return spatial_pool(tape, in[0]); },
        [&](const auto& in) { return reference::spatial_pool(in[0], shape[3]); });
  }
}

// Rows longer than a warp and than the block of channels that the search of the CPU takes at once.
TEST(SpatialPool, GivesATieToTheFirstChannel) {
  for (const int64_t channels : {4, 33, 200}) {
    const int64_t rows = channels;
    std::vector<float> values(static_cast<size_t>(rows * channels), -3.0f), cotangent, expected(values.size(), 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      for (const int64_t c : {row, (row + channels) / 2, channels - 1}) {
        values[static_cast<size_t>(row * channels + c)] = -1.0f;
      }
      expected[static_cast<size_t>(row * channels + row)] = 10.0f;
      cotangent.insert(cotangent.end(), {10.0f, 0.0f});
    }
    for_each_backend([&](Context& context) {
      Tape tape(context);
      const Variable x = tape.input(Tensor::from_host<float>(context, {1, 1, rows, channels}, values));
      const Variable y = spatial_pool(tape, x);
      tape.backward(y, Tensor::from_host<float>(context, {1, 1, rows, 2}, cotangent));
      EXPECT_EQ(tape.gradient(x).to_host<float>(context), expected);
    });
  }
}

// The winner of a row without numbers is a channel of the row, or the gradient would be written elsewhere.
TEST(SpatialPool, RowsThatAreNoNumbersKeepTheirGradient) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const std::vector<float> values(40, NAN), cotangent = {1, 0};
    const Variable x = tape.input(Tensor::from_host<float>(context, {1, 1, 1, 40}, values));
    const Variable y = spatial_pool(tape, x);
    tape.backward(y, Tensor::from_host<float>(context, {1, 1, 1, 2}, cotangent));
    const std::vector<float> gradient = tape.gradient(x).to_host<float>(context);
    EXPECT_EQ(std::count(gradient.begin(), gradient.end(), 1.0f), 1);
  });
}

TEST(SpatialGate, AgreesWithOracle) {
  for (const Shape& shape : kShapes) {
    check_op(
        "spatial_gate " + shape.to_string(),
        {random_input(shape, 2), random_input({shape[0], shape[1], shape[2], 1}, 3)},
        [](Tape& tape, const std::vector<Variable>& in) { return spatial_gate(tape, in[0], in[1]); },
        [&](const auto& in) { return reference::spatial_gate(in[0], in[1], shape[3]); });
  }
}

TEST(SpatialAttention, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads(
      "spatial gate", {random_input({2, 41, 37, 24}, 5), random_input({2, 41, 37, 1}, 6)},
      [](Tape& tape, const std::vector<Variable>& in) { return spatial_pool(tape, spatial_gate(tape, in[0], in[1])); });
}

TEST(SpatialAttention, RefusesOtherShapes) {
  PlanContext context;
  Tape tape(context);
  const Tensor x = Tensor::empty(context, {2, 3, 3, 4});
  EXPECT_THROW(spatial_gate(tape, x, x), Error);
}

}  // namespace
}  // namespace tessera
