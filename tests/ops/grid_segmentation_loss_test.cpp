#include "engine/ops/grid_segmentation_loss.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/grid_segmentation_loss.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::GridSegmentationCase;

Variable run_op(Tape& tape, const GridSegmentationCase& at, const Variable& pixels, const Variable& objects) {
  Context& context = tape.context();
  const auto boxes = static_cast<int64_t>(at.boxes.size());
  std::vector<float> corners;
  for (const auto& box : at.boxes) {
    for (const double value : {box.x1, box.y1, box.x2, box.y2}) corners.push_back(static_cast<float>(value));
  }
  const auto masks = static_cast<int64_t>(at.masks.size()) / (at.height * at.width);
  GridSegmentationTargets targets{Tensor::from_host<float>(context, {boxes, 4}, corners),
                                  Tensor::from_host<int32_t>(context, {boxes}, at.image_of),
                                  Tensor::from_host<int32_t>(context, {boxes}, at.mask_of),
                                  Tensor::from_host<uint8_t>(context, {masks, at.height, at.width}, at.masks)};
  GridSegmentationOptions options{at.k, static_cast<float>(at.alpha), static_cast<float>(at.stride),
                                  at.literal_cell_norm, static_cast<float>(at.normalizer)};
  return grid_segmentation_loss(tape, pixels, objects, targets, options);
}

// Boxes of all kinds on two images of 9 x 13 cells; values are exact in f32.
GridSegmentationCase mixed_case(int k, int channels, double stride, bool literal) {
  GridSegmentationCase at{2, 9, 13, channels, k, 5.0, stride, 4.0, literal, {}, {}, {}, {}};
  const double s = stride;
  at.boxes = {{0, 0, 13 * s, 9 * s},                      // the whole map
              {1.25 * s, 2.5 * s, 8.75 * s, 7.25 * s},    // an edge on a pixel centre
              {3 * s, 3 * s, 4.5 * s, 8 * s},             // narrower than k pixels
              {5.0625 * s, 5.0625 * s, 5.25 * s, 7 * s},  // no pixel centre
              {-2.5 * s, -1 * s, 3 * s, 30 * s},          // beyond the map
              {4 * s, 4 * s, 4 * s, 6 * s},               // no width
              {6 * s, 5 * s, 5 * s, 7 * s},               // inverted
              {1.25 * s, 2.5 * s, 8.75 * s, 7.25 * s}};   // the second box again
  at.image_of = {0, 1, 0, 1, 1, 0, 1, 1};
  at.mask_of = {0, 1, 0, 1, 2, 0, 1, 1};
  at.masks.resize(static_cast<size_t>(3 * at.height * at.width));
  Rng rng(11, RandomPurpose::test);
  for (uint8_t& value : at.masks) {  // background, foreground, and edges in between
    const uint32_t kind = rng.below(3);
    value = static_cast<uint8_t>(kind < 2 ? 255 * kind : rng.below(256));
  }
  return at;
}

void check_case(const GridSegmentationCase& at, const std::string& name) {
  const auto boxes = static_cast<int64_t>(at.boxes.size());
  check_op(
      name,
      {random_input({at.images, at.height, at.width, at.channels}, 31),
       random_input({boxes, 2 * at.k * at.k * at.channels}, 32, 2.0)},
      [&](Tape& tape, const std::vector<Variable>& x) { return run_op(tape, at, x[0], x[1]); },
      [&](const auto& x) { return std::vector<double>{reference::grid_segmentation_loss(at, x[0], x[1])}; },
      {.jacobian_limit = 120});
}

// Small enough for the race checker.
TEST(GridSegmentationLoss, SmallGrids) {
  for (const int channels : {3, 8, 16}) check_case(mixed_case(2, channels, 8, false), fmt::format("C {}", channels));
}

TEST(GridSegmentationLoss, AgreesWithOracle) {
  for (const bool literal : {false, true}) {
    for (const int k : {1, 2, 3, 4, 5}) {
      check_case(mixed_case(k, 8, 8, literal), fmt::format("k {} literal {}", k, literal));
    }
  }
  for (const int channels : {1, 2, 12, 16, 24})
    check_case(mixed_case(3, channels, 4, false), fmt::format("C {}", channels));
}

TEST(GridSegmentationLoss, OtherSharpness) {
  for (const double alpha : {1.0, 9.0}) {
    GridSegmentationCase at = mixed_case(3, 16, 2, false);
    at.alpha = alpha;
    check_case(at, fmt::format("alpha {}", alpha));
  }
}

// One pixel in one cell, X along or against the vectors: values of the specification, section 3.4.
TEST(GridSegmentationLoss, ValuesOfTheSpecification) {
  for_each_backend([&](Context& context) {
    const auto value = [&](double alpha, float x, float foreground, float background, uint8_t label) {
      GridSegmentationCase at{
          1, 1, 1, 2, 1, alpha, 8, 1, false, {{0, 0, 8, 8}}, {0}, {0}, {static_cast<uint8_t>(255 * label)}};
      Tape tape(context, Tape::Mode::forward);
      const std::vector<float> pixel{x, 0}, object{foreground, 0, background, 0};
      return run_op(tape, at, Tensor::from_host<float>(context, {1, 1, 1, 2}, pixel),
                    Tensor::from_host<float>(context, {1, 4}, object))
          .value.to_host<float>(context)[0];
    };
    EXPECT_NEAR(value(5, 3, 2, -7, 1), 0.0134307, 1e-7);
    EXPECT_NEAR(value(5, 3, -2, 7, 0), 0.0134307, 1e-7);
    EXPECT_NEAR(value(5, 3, -2, 7, 1), 2 * 5.0067153485, 2e-6);
    EXPECT_NEAR(value(1, 3, 2, -7, 1), 0.6265234, 1e-6);
    EXPECT_NEAR(value(3, 3, 2, -7, 1), 0.0971747, 2e-7);
    EXPECT_NEAR(value(7, 3, 2, -7, 1), 0.0018229, 1e-7);
    EXPECT_NEAR(value(9, 3, 2, -7, 1), 0.00024680, 1e-8);
    EXPECT_NEAR(value(5, 0, 2, -7, 1), 2 * 0.6931472, 1e-6);  // |X| = 0: both cosines are 0
  });
}

TEST(GridSegmentationLoss, GuardGivesNoGradient) {
  for_each_backend([&](Context& context) {
    GridSegmentationCase at{1, 1, 2, 2, 1, 5, 8, 1, false, {{0, 0, 16, 8}}, {0}, {0}, {255, 0}};
    Tape tape(context);
    // |X||O| = 1e-9 at the first pixel, 2 at the second.
    const std::vector<float> pixel{1e-9f, 0, 1, 1}, object{1, 0, 0, 1};
    const Variable x = tape.input(Tensor::from_host<float>(context, {1, 1, 2, 2}, pixel));
    const Variable o = tape.input(Tensor::from_host<float>(context, {1, 4}, object));
    const Variable loss = run_op(tape, at, x, o);
    const double expected = reference::grid_segmentation_loss(at, {1e-9, 0, 1, 1}, {1, 0, 0, 1});
    EXPECT_NEAR(loss.value.to_host<float>(context)[0], expected, 1e-6);
    tape.backward(loss);
    const std::vector<float> gradient = tape.gradient(x).to_host<float>(context);
    EXPECT_EQ(gradient[0], 0.0f);
    EXPECT_EQ(gradient[1], 0.0f);
    EXPECT_GT(std::abs(gradient[2]), 0.1f);
  });
}

TEST(GridSegmentationLoss, ScaleOfTheVectorsDoesNotMatter) {
  const GridSegmentationCase at = mixed_case(3, 16, 8, false);
  const OpInput pixels = random_input({2, 9, 13, 16}, 31), objects = random_input({8, 288}, 32);
  for_each_backend([&](Context& context) {
    const auto loss = [&](double pixel_factor, double object_factor) {
      Tape tape(context, Tape::Mode::forward);
      std::vector<float> x(pixels.values.begin(), pixels.values.end());
      std::vector<float> o(objects.values.begin(), objects.values.end());
      for (float& value : x) value = static_cast<float>(value * pixel_factor);
      for (float& value : o) value = static_cast<float>(value * object_factor);
      return run_op(tape, at, Tensor::from_host<float>(context, pixels.shape, x),
                    Tensor::from_host<float>(context, objects.shape, o))
          .value.to_host<float>(context)[0];
    };
    const float plain = loss(1, 1);
    for (const double factor : {1e-3, 1e3}) {
      EXPECT_NEAR(loss(factor, 1), plain, 2e-6);
      EXPECT_NEAR(loss(1, factor), plain, 2e-6);
    }
  });
}

TEST(GridSegmentationLoss, NoBoxes) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable x = tape.input(Tensor::zeros(context, {1, 2, 3, 8}));
    const Variable o = tape.input(Tensor::zeros(context, {0, 144}));
    GridSegmentationCase at{1, 2, 3, 8, 3, 5, 8, 1, false, {}, {}, {}, {}};
    const Variable loss = run_op(tape, at, x, o);
    EXPECT_EQ(loss.value.to_host<float>(context)[0], 0.0f);
    tape.backward(loss);
    for (const float value : tape.gradient(x).to_host<float>(context)) EXPECT_EQ(value, 0.0f);
    EXPECT_EQ(tape.gradient(o).elements(), 0);
  });
}

TEST(GridSegmentationLoss, SameBitsForAnyNumberOfThreads) {
  const GridSegmentationCase at = mixed_case(3, 16, 8, false);
  const OpInput pixels = random_input({2, 9, 13, 16}, 31), objects = random_input({8, 288}, 32);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    CpuContext context(threads);
    Tape tape(context);
    const std::vector<float> x(pixels.values.begin(), pixels.values.end());
    const std::vector<float> o(objects.values.begin(), objects.values.end());
    const Variable pixel = tape.input(Tensor::from_host<float>(context, pixels.shape, x));
    const Variable object = tape.input(Tensor::from_host<float>(context, objects.shape, o));
    const Variable loss = run_op(tape, at, pixel, object);
    std::vector<float> result = loss.value.to_host<float>(context);
    tape.backward(loss);
    for (const Variable& leaf : {pixel, object}) {
      const std::vector<float> gradient = tape.gradient(leaf).to_host<float>(context);
      result.insert(result.end(), gradient.begin(), gradient.end());
    }
    results.push_back(result);
  }
  for (size_t i = 1; i < results.size(); ++i) {
    EXPECT_EQ(std::memcmp(results[0].data(), results[i].data(), results[0].size() * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace tessera
