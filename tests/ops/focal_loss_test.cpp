#include "engine/ops/focal_loss.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/focal_loss.h"

namespace tessera {
namespace {

using namespace testing_support;

// Classes, background (as K and as something larger) and ignored rows by turns.
std::vector<int32_t> mixed_labels(int64_t rows, int32_t classes) {
  std::vector<int32_t> labels(static_cast<size_t>(rows));
  for (size_t row = 0; row < labels.size(); ++row) {
    const int32_t turn = static_cast<int32_t>(row) % 7;
    labels[row] = turn < 3 ? (static_cast<int32_t>(row) * 5 + turn) % classes : turn < 6 ? classes + turn - 3 : -1;
  }
  return labels;
}

void check_case(int64_t rows, int32_t classes, const FocalLossOptions& options, double deviation) {
  const std::vector<int32_t> labels = mixed_labels(rows, classes);
  check_op(
      fmt::format("focal {}x{} gamma {} deviation {}", rows, classes, options.gamma, deviation),
      {random_input({rows, classes}, 5, deviation)},
      [&](Tape& tape, const std::vector<Variable>& x) {
        return sigmoid_focal_loss(tape, x[0], Tensor::from_host<int32_t>(tape.context(), {rows}, labels), options);
      },
      [&](const auto& x) {
        return std::vector<double>{reference::focal_loss(x[0], labels, static_cast<size_t>(classes), options.alpha,
                                                         options.gamma, options.normalizer)};
      });
}

TEST(FocalLoss, AgreesWithOracle) {
  for (const float gamma : {2.0f, 1.5f, 0.0f}) {
    for (const int32_t classes : {1, 3, 5, 80}) {
      check_case(11, classes, {.alpha = 0.25f, .gamma = gamma, .normalizer = 3.0f}, 2.0);
    }
  }
  check_case(700, 3, {.alpha = 0.4f, .gamma = 2.0f, .normalizer = 11.0f}, 1.0);
}

TEST(FocalLoss, StaysFiniteAndExactForLargeLogits) {
  check_case(21, 4, {.alpha = 0.25f, .gamma = 2.0f, .normalizer = 1.0f}, 30.0);
}

TEST(FocalLoss, KnownValues) {
  for_each_backend([&](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const std::vector<float> logits{0.0f, 0.0f};
    const Tensor values = Tensor::from_host<float>(context, {1, 2}, logits);
    const auto loss = [&](int32_t label) {
      const Tensor labels = Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{label});
      return sigmoid_focal_loss(tape, values, labels, {}).value.to_host<float>(context)[0];
    };
    // (1/2)^2 ln 2 times .25 for the class and .75 for the other.
    EXPECT_NEAR(loss(0), 0.25 * std::log(2.0), 1e-7);
    EXPECT_NEAR(loss(2), 2 * 0.75 * 0.25 * std::log(2.0), 1e-7);
    EXPECT_EQ(loss(-1), 0.0f);
  });
}

TEST(FocalLoss, NoRows) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable logits = tape.input(Tensor::zeros(context, {0, 80}));
    const Variable loss = sigmoid_focal_loss(tape, logits, Tensor::zeros(context, {0}, DType::i32), {});
    EXPECT_EQ(loss.value.to_host<float>(context)[0], 0.0f);
    tape.backward(loss);
    EXPECT_EQ(tape.gradient(logits).elements(), 0);
  });
}

TEST(FocalLoss, NotANumberIsNotHidden) {
  for_each_backend([&](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const Tensor logits = Tensor::from_host<float>(context, {1, 2}, std::vector<float>{1.0f, NAN});
    const Tensor labels = Tensor::zeros(context, {1}, DType::i32);
    EXPECT_TRUE(std::isnan(sigmoid_focal_loss(tape, logits, labels, {}).value.to_host<float>(context)[0]));
  });
}

}  // namespace
}  // namespace tessera
