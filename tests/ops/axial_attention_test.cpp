#include "engine/ops/axial_attention.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/axial_attention.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr AttentionAxis kAxes[] = {AttentionAxis::column, AttentionAxis::row};

std::vector<OpInput> inputs(const Shape& shape, double deviation = 1.0) {
  return {random_input(shape, 1, deviation), random_input({shape[0], shape[1], shape[2], 2 * shape[3]}, 2, deviation)};
}

void check(const Shape& shape, int heads, const OpTolerance& tolerance = {}, double deviation = 1.0) {
  for (const AttentionAxis axis : kAxes) {
    check_op(
        "axial_attention " + shape.to_string(), inputs(shape, deviation),
        [&](Tape& tape, const std::vector<Variable>& in) { return axial_attention(tape, in[0], in[1], heads, axis); },
        [&](const auto& in) {
          return reference::axial_attention(in[0], in[1], shape[0], shape[1], shape[2], shape[3], heads,
                                            axis == AttentionAxis::column);
        },
        tolerance);
  }
}

TEST(AxialAttention, AgreesWithOracle) {
  check({1, 1, 1, 4}, 2);
  check({2, 3, 5, 6}, 3);
  check({1, 5, 2, 8}, 1);
  check({1, 13, 2, 10}, 2);
  check({0, 3, 3, 4}, 2);
}

TEST(AxialAttention, AgreesWithOracleOnLongLines) {
  OpTolerance tolerance;
  tolerance.jacobian_limit = 8;
  check({1, 40, 3, 64}, 2, tolerance);
  check({1, 1, 131, 32}, 1, tolerance);
  // Heads wider than the registers of a device's thread hold, and no multiple of them.
  check({1, 3, 9, 70}, 1, tolerance);
  check({1, 17, 2, 33}, 1, tolerance);
}

TEST(AxialAttention, AgreesWithOracleOnEveryLevelOfAPyramid) {
  PyramidGeometry geometry(2);
  geometry.add_level(3, 4, 8);
  geometry.add_level(2, 1, 16);
  for (const AttentionAxis axis : kAxes) {
    check_op(
        "axial_attention of a pyramid", {random_input({geometry.rows(), 4}, 3), random_input({geometry.rows(), 8}, 4)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return axial_attention(tape, {in[0], geometry}, {in[1], geometry}, 2, axis).rows;
        },
        [&](const auto& in) {
          std::vector<double> y;
          for (const PyramidLevel& level : geometry.levels()) {
            const auto part = [&](const std::vector<double>& rows, int64_t channels) {
              const auto first = rows.begin() + level.row_begin * channels;
              return std::vector<double>(first, first + 2 * level.cells() * channels);
            };
            const std::vector<double> of_level = reference::axial_attention(
                part(in[0], 4), part(in[1], 8), 2, level.height, level.width, 4, 2, axis == AttentionAxis::column);
            y.insert(y.end(), of_level.begin(), of_level.end());
          }
          return y;
        });
  }
}

TEST(AxialAttention, OfOneKeyIsItsValue) {
  for_each_backend([](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const std::vector<float> query = {100, -3, 5, 7}, pair = {1, 2, 3, 4, 10, 20, 30, 40};
    const Variable y = axial_attention(tape, Tensor::from_host<float>(context, {1, 1, 2, 2}, query),
                                       Tensor::from_host<float>(context, {1, 1, 2, 4}, pair), 1, AttentionAxis::column);
    EXPECT_EQ(y.value.to_host<float>(context), (std::vector<float>{3, 4, 30, 40}));
  });
}

TEST(AxialAttention, LargeScoresChooseOneKey) {
  for_each_backend([](Context& context) {
    // Scores in the thousands: exp of them would overflow.
    Tape tape(context, Tape::Mode::forward);
    const std::vector<float> query = {1000, 1000}, pair = {90, 1, -90, 2};
    const Variable y = axial_attention(tape, Tensor::from_host<float>(context, {1, 1, 2, 1}, query),
                                       Tensor::from_host<float>(context, {1, 1, 2, 2}, pair), 1, AttentionAxis::row);
    EXPECT_EQ(y.value.to_host<float>(context), (std::vector<float>{1, 1}));
  });
}

TEST(AxialAttention, CountsItsMultiplyAdds) {
  PlanContext context;
  Tape tape(context);
  const Variable q = tape.input(Tensor::empty(context, {1, 40, 40, 256}));
  const Tensor kv = Tensor::empty(context, {1, 40, 40, 512});
  axial_attention(tape, q, kv, 8, AttentionAxis::column);
  axial_attention(tape, q, kv, 8, AttentionAxis::row);
  EXPECT_EQ(tape.costs()[0].macs, 65'536'000);  // spec, section 8
}

TEST(AxialAttention, DoesNotDependOnTheNumberOfThreads) {
  for (const AttentionAxis axis : kAxes) {
    expect_same_bits_for_any_threads(
        "axial_attention", inputs({2, 24, 19, 64}),
        [axis](Tape& tape, const std::vector<Variable>& in) { return axial_attention(tape, in[0], in[1], 4, axis); });
  }
}

TEST(AxialAttention, RefusesHeadsThatDoNotDivideAndOtherShapes) {
  PlanContext context;
  Tape tape(context);
  const Tensor q = Tensor::empty(context, {1, 2, 2, 6}), kv = Tensor::empty(context, {1, 2, 2, 12});
  EXPECT_THROW(axial_attention(tape, q, kv, 4, AttentionAxis::row), Error);
  EXPECT_THROW(axial_attention(tape, q, q, 2, AttentionAxis::row), Error);
}

}  // namespace
}  // namespace tessera
