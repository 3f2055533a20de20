#include "engine/ops/pyramid.h"

#include <gtest/gtest.h>

#include "engine/ops/add.h"
#include "engine/ops/scale.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

const std::vector<OpInput> kLevels = {random_input({2, 4, 3, 5}, 1), random_input({2, 2, 2, 5}, 2),
                                      random_input({2, 1, 1, 5}, 3)};

std::vector<double> joined(const std::vector<std::vector<double>>& levels) {
  std::vector<double> rows;
  for (const std::vector<double>& level : levels) rows.insert(rows.end(), level.begin(), level.end());
  return rows;
}

TEST(Pyramid, StacksLevels) {
  check_op(
      "stack_pyramid", kLevels,
      [](Tape& tape, const std::vector<Variable>& in) {
        const Pyramid pyramid = stack_pyramid(tape, in, {8, 16, 32});
        EXPECT_EQ(pyramid.geometry.rows(), 2 * (12 + 4 + 1));
        EXPECT_EQ(pyramid.geometry.row(1, 1, 1, 0), 24 + 4 + 2);
        EXPECT_EQ(pyramid.geometry.level(2).stride, 32);
        return pyramid.rows;
      },
      [](const auto& in) { return joined(in); });
}

TEST(Pyramid, ALevelIsAViewAndItsGradientFlows) {
  for (const int64_t level : {0, 1, 2}) {
    check_op(
        "pyramid_level", kLevels,
        [&](Tape& tape, const std::vector<Variable>& in) {
          const Pyramid pyramid = stack_pyramid(tape, in, {8, 16, 32});
          const Variable view = pyramid_level(tape, pyramid, level);
          EXPECT_EQ(view.value.storage(), pyramid.rows.value.storage());
          EXPECT_EQ(view.shape(), in[static_cast<size_t>(level)].shape());
          return view;
        },
        [&](const auto& in) { return in[static_cast<size_t>(level)]; });
  }
}

TEST(Pyramid, GradientsOfLevelsAndRowsAddUp) {
  // rows + stack(levels with the middle one tripled and the last one left out)
  check_op(
      "pyramid_levels", kLevels,
      [](Tape& tape, const std::vector<Variable>& in) {
        const Pyramid pyramid = stack_pyramid(tape, in, {8, 16, 32});
        const std::vector<Variable> views = pyramid_levels(tape, pyramid);
        const Pyramid again = stack_pyramid(tape, {views[0], scale(tape, views[1], 3), in[2]}, {8, 16, 32});
        return add(tape, pyramid.rows, again.rows);
      },
      [](const auto& in) {
        std::vector<std::vector<double>> levels = in;
        for (double& value : levels[0]) value *= 2;
        for (double& value : levels[1]) value *= 4;
        for (double& value : levels[2]) value *= 2;
        return joined(levels);
      });
}

TEST(Pyramid, RefusesLevelsThatDoNotBelongTogether) {
  PlanContext context;
  Tape tape(context);
  const Variable a = Tensor::empty(context, {1, 4, 4, 8}), b = Tensor::empty(context, {1, 2, 2, 9});
  EXPECT_THROW(stack_pyramid(tape, {a, b}, {8, 16}), Error);
  EXPECT_THROW(stack_pyramid(tape, {a}, {8, 16}), Error);
  EXPECT_THROW(pyramid_level(tape, stack_pyramid(tape, {a}, {8}), 1), Error);
}

}  // namespace
}  // namespace tessera
