#include "engine/ops/channel_attention.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/channel_attention.h"

namespace tessera {
namespace {

using namespace testing_support;

const std::vector<Shape> kShapes = {{1, 1, 1, 1}, {2, 3, 4, 5}, {3, 1, 7, 17}, {1, 5, 5, 16}, {1, 2, 3, 70}};

reference::MapSize size_of(const Shape& shape) { return {shape[0], shape[1] * shape[2], shape[3]}; }

Variable pool(Tape& tape, const std::vector<Variable>& in) { return channel_pool(tape, in[0]); }
Variable gate(Tape& tape, const std::vector<Variable>& in) { return channel_gate(tape, in[0], in[1]); }

TEST(ChannelPool, AgreesWithOracle) {
  for (const Shape& shape : kShapes) {
    check_op("channel_pool " + shape.to_string(), {random_input(shape, 1)}, pool,
             [&](const auto& in) { return reference::channel_pool(in[0], size_of(shape)); });
  }
}

TEST(ChannelPool, AgreesWithOracleAcrossChunks) {
  const Shape shape = {2, 31, 29, 12};
  OpTolerance tolerance;
  tolerance.jacobian_limit = 40;
  check_op(
      "channel_pool of a large map", {random_input(shape, 2, 1, 3)}, pool,
      [&](const auto& in) { return reference::channel_pool(in[0], size_of(shape)); }, tolerance);
}

TEST(ChannelPool, GivesATieToTheFirstPixel) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    // More than one chunk of equal pixels.
    const Variable x = tape.input(Tensor::zeros(context, {1, 30, 30, 2}));
    const Variable y = channel_pool(tape, x);
    const std::vector<float> cotangent = {0, 0, 5, 7};
    tape.backward(y, Tensor::from_host<float>(context, {2, 2}, cotangent));
    std::vector<float> expected(1800, 0.0f);
    expected[0] = 5, expected[1] = 7;
    EXPECT_EQ(tape.gradient(x).to_host<float>(context), expected);
  });
}

// The maximum of every channel lies at another place of a chunk, and once more behind it.
TEST(ChannelPool, FindsTheFirstMaximumWhereverItLies) {
  constexpr int64_t kPixels = 600, kChannels = 40;
  std::vector<float> values(kPixels * kChannels, -1.0f), expected(kPixels * kChannels, 0.0f);
  for (int64_t c = 0; c < kChannels; ++c) {
    const int64_t first = c * 37 % kPixels;
    for (const int64_t pixel : {first, (first + kPixels) / 2, kPixels - 1}) {
      values[static_cast<size_t>(pixel * kChannels + c)] = 2.0f;
    }
    expected[static_cast<size_t>(first * kChannels + c)] = 1.0f;
  }
  std::vector<float> cotangent(2 * kChannels, 0.0f);
  std::fill(cotangent.begin() + kChannels, cotangent.end(), 1.0f);
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable x = tape.input(Tensor::from_host<float>(context, {1, 20, 30, kChannels}, values));
    const Variable y = channel_pool(tape, x);
    tape.backward(y, Tensor::from_host<float>(context, {2, kChannels}, cotangent));
    EXPECT_EQ(tape.gradient(x).to_host<float>(context), expected);
  });
}

TEST(ChannelGate, AgreesWithOracle) {
  for (const Shape& shape : kShapes) {
    for (const int64_t sets : {1, 2}) {
      check_op("channel_gate " + shape.to_string(),
               {random_input(shape, 3), random_input({sets * shape[0], shape[3]}, 4)}, gate,
               [&](const auto& in) { return reference::channel_gate(in[0], in[1], size_of(shape)); });
    }
  }
}

TEST(ChannelGate, AgreesWithOracleAcrossChunks) {
  const Shape shape = {2, 23, 17, 6};
  OpTolerance tolerance;
  tolerance.jacobian_limit = 40;
  check_op(
      "channel_gate of a large map", {random_input(shape, 5), random_input({2, 6}, 6)}, gate,
      [&](const auto& in) { return reference::channel_gate(in[0], in[1], size_of(shape)); }, tolerance);
}

TEST(ChannelAttention, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads(
      "channel attention", {random_input({2, 41, 37, 24}, 5)},
      [](Tape& tape, const std::vector<Variable>& in) { return channel_gate(tape, in[0], channel_pool(tape, in[0])); });
}

TEST(ChannelAttention, RefusesEmptyMapsAndOtherShapes) {
  PlanContext context;
  Tape tape(context);
  const Tensor x = Tensor::empty(context, {2, 3, 3, 4});
  EXPECT_THROW(channel_pool(tape, Tensor::empty(context, {1, 0, 3, 4})), Error);
  EXPECT_THROW(channel_gate(tape, x, Tensor::empty(context, {3, 4})), Error);
  EXPECT_THROW(channel_gate(tape, x, Tensor::empty(context, {2, 5})), Error);
}

}  // namespace
}  // namespace tessera
