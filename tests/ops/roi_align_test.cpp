#include "engine/ops/roi_align.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/roi_align.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::RoiAlignCase;

Tensor boxes_of(Context& context, const RoiAlignCase& at) {
  std::vector<float> values;
  for (const auto& box : at.boxes) values.insert(values.end(), box.begin(), box.end());
  return Tensor::from_host<float>(context, {static_cast<int64_t>(at.boxes.size()), 4}, values);
}

Variable align(Tape& tape, const Variable& x, const RoiAlignCase& at) {
  const auto count = static_cast<int64_t>(at.boxes.size());
  return roi_align(tape, x, boxes_of(tape.context(), at),
                   Tensor::from_host<int32_t>(tape.context(), {count}, at.image_of),
                   {.out_height = at.out_height,
                    .out_width = at.out_width,
                    .scale = static_cast<float>(at.scale),
                    .sampling_ratio = at.sampling_ratio,
                    .aligned = at.aligned});
}

void check_case(const RoiAlignCase& at, const OpTolerance& tolerance = {}) {
  check_op(
      fmt::format("roi_align {}x{} to {}x{}, ratio {}, {}", at.height, at.width, at.out_height, at.out_width,
                  at.sampling_ratio, at.aligned ? "aligned" : "not aligned"),
      {random_input({at.images, at.height, at.width, at.channels}, 1)},
      [&](Tape& tape, const std::vector<Variable>& in) { return align(tape, in[0], at); },
      [&](const auto& in) { return reference::roi_align(at, in[0]); }, tolerance);
}

// Boxes inside, over every border, outside, thinner than a cell, without extent and inside out; several images, in any
// order.
TEST(RoiAlign, AgreesWithOracle) {
  const std::vector<std::array<double, 4>> boxes = {{1, 2, 11, 9},      {-7, -9, 5, 3},      {9, 8, 40, 30},
                                                    {3, 3, 3.5, 3.25},  {6, 6, 6, 6},        {10, 9, 4, 3},
                                                    {-30, -30, -9, -8}, {0, 0, 20.5, 14.25}, {5.5, 0, 7, 14}};
  const std::vector<int32_t> image_of = {1, 0, 0, 1, 0, 1, 0, 1, 1};
  for (const bool aligned : {true, false}) {
    for (const int ratio : {0, 1, 3}) {
      for (const int64_t channels : {1, 4, 5}) {
        check_case({2, 7, 10, channels, 3, 2, 0.5, ratio, aligned, boxes, image_of});
      }
    }
  }
}

TEST(RoiAlign, MapsOfOneCellAndNoRegions) {
  check_case({1, 1, 1, 3, 2, 2, 1.0, 2, true, {{-0.25, -0.25, 1.25, 1.5}, {0, 0, 1, 1}}, {0, 0}});
  check_case({2, 3, 4, 2, 2, 2, 1.0, 0, true, {}, {}});
  check_case({1, 4, 1, 2, 1, 5, 1.0, 0, false, {{0.25, 0.5, 0.75, 3.5}}, {0}});
}

// More channels than a block's lanes and more regions than a block looks at together.
TEST(RoiAlign, ManyRegionsAndChannels) {
  RoiAlignCase at{2, 5, 9, 6, 2, 2, 0.25, 2, true, {}, {}};
  Rng rng(8, RandomPurpose::test);
  for (int i = 0; i < 300; ++i) {
    const double x = rng.below(120) / 4.0, y = rng.below(60) / 4.0;
    at.boxes.push_back({x, y, x + 0.5 + rng.below(60) / 4.0, y + 0.75 + rng.below(40) / 4.0});
    at.image_of.push_back(static_cast<int32_t>(rng.below(2)));
  }
  OpTolerance tolerance;
  tolerance.jacobian_limit = 60;
  check_case(at, tolerance);
  at.boxes.resize(3);
  at.image_of.resize(3);
  for (const int64_t channels : {37, 136}) {
    at.channels = channels;
    check_case(at, tolerance);
  }
}

// A map that is a plane is read exactly: the mean of a bin is the value at its centre.
TEST(RoiAlign, ReadsAPlaneExactly) {
  std::vector<float> plane;
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 16; ++x) plane.push_back(static_cast<float>(3 * x - 2 * y));
  }
  for_each_backend([&](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const RoiAlignCase at{1, 12, 16, 1, 2, 4, 0.5, 0, true, {{4, 2, 28, 18}}, {0}};
    const std::vector<float> values =
        align(tape, Tensor::from_host<float>(context, {1, 12, 16, 1}, plane), at).value.to_host<float>(context);
    for (size_t i = 0; i < values.size(); ++i) {
      const double x = 2 - 0.5 + 3 * (static_cast<double>(i % 4) + 0.5);
      const double y = 1 - 0.5 + 4 * (static_cast<double>(i / 4) + 0.5);
      EXPECT_NEAR(values[i], 3 * x - 2 * y, 1e-5);
    }
  });
}

TEST(RoiAlign, RegionsOfNoImageAreNotNumbersAndGetNoGradient) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const Variable x = tape.input(Tensor::zeros(context, {2, 3, 3, 1}));
    const RoiAlignCase at{2, 3, 3, 1, 1, 1, 1.0, 0, true, {{0, 0, 2, 2}, {0, 0, 2, 2}}, {2, -1}};
    const Variable y = align(tape, x, at);
    for (const float value : y.value.to_host<float>(context)) EXPECT_TRUE(std::isnan(value));
    tape.backward(y, Tensor::from_host<float>(context, y.shape(), std::vector<float>{1, 1}));
    EXPECT_EQ(tape.gradient(x).to_host<float>(context), std::vector<float>(18, 0.0f));
  });
}

// What a diverging network may ask for ends, and writes nothing elsewhere.
TEST(RoiAlign, BoxesThatAreNoNumbers) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for_each_backend([&](Context& context) {
    for (const int ratio : {0, 2}) {
      Tape tape(context);
      const Variable x = tape.input(Tensor::zeros(context, {1, 3, 3, 1}));
      const RoiAlignCase at{1,        3,   3,     1,    1,
                            1,        1.0, ratio, true, {{nan, 0, 2, 2}, {0, nan, 2, nan}, {-infinity, 0, infinity, 2}},
                            {0, 0, 0}};
      const Variable y = align(tape, x, at);
      EXPECT_EQ(y.value.to_host<float>(context), std::vector<float>(3, 0.0f));
      tape.backward(y, Tensor::from_host<float>(context, y.shape(), std::vector<float>{1, 1, 1}));
      EXPECT_EQ(tape.gradient(x).to_host<float>(context), std::vector<float>(9, 0.0f));
    }
  });
}

TEST(RoiAlign, DoesNotDependOnTheNumberOfThreads) {
  RoiAlignCase at{2, 40, 50, 24, 7, 7, 1.0, 0, true, {}, {}};
  for (int i = 0; i < 40; ++i) {
    at.boxes.push_back({i * 0.75, i * 0.5, i * 0.75 + 9, i * 0.5 + 14});
    at.image_of.push_back(i % 2);
  }
  expect_same_bits_for_any_threads("roi_align", {random_input({2, 40, 50, 24}, 2)},
                                   [&](Tape& tape, const std::vector<Variable>& in) { return align(tape, in[0], at); });
}

TEST(RoiAlign, RefusesOtherShapes) {
  PlanContext context;
  Tape tape(context);
  const Tensor x = Tensor::empty(context, {1, 4, 4, 2}), boxes = Tensor::empty(context, {3, 4});
  const Tensor two = Tensor::empty(context, {2}, DType::i32, "images"),
               three = Tensor::empty(context, {3}, DType::i32, "images");
  EXPECT_EQ(roi_align(tape, x, boxes, three).shape(), (Shape{3, 7, 7, 2}));
  EXPECT_THROW(roi_align(tape, x, boxes, two), Error);
  EXPECT_THROW(roi_align(tape, x, boxes, three, {.out_height = 0}), Error);
  EXPECT_THROW(roi_align(tape, Tensor::empty(context, {1, 0, 4, 2}), boxes, three), Error);
}

}  // namespace
}  // namespace tessera
