#include "engine/ops/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/op_check.h"
#include "tests/reference/softmax_cross_entropy.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(SoftmaxCrossEntropy, AgreesWithOracle) {
  for (const int64_t classes : {1, 2, 5, 32, 81}) {
    std::vector<int32_t> labels;
    for (int64_t row = 0; row < 13; ++row) {
      labels.push_back(row == 4 ? -1 : static_cast<int32_t>((row * 5 + 2) % classes));
    }
    check_op(
        "softmax_cross_entropy", {random_input({13, classes}, 6, 2.0)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return softmax_cross_entropy(tape, in[0], Tensor::from_host<int32_t>(tape.context(), {13}, labels), 7.0f);
        },
        [&](const auto& in) {
          return std::vector<double>{
              reference::softmax_cross_entropy(in[0], labels, static_cast<size_t>(classes), 7.0)};
        });
  }
}

TEST(SoftmaxCrossEntropy, FarLogitsAndForeignLabels) {
  for_each_backend([](Context& context) {
    const Tensor z = Tensor::from_host<float>(context, {1, 2}, std::vector<float>{500, -500});
    const auto loss_of = [&](int32_t value) {
      Tape tape(context);
      const Tensor label = Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{value});
      return softmax_cross_entropy(tape, z, label, 1).value.to_host<float>(context)[0];
    };
    EXPECT_EQ(loss_of(0), 0.0f);
    EXPECT_EQ(loss_of(1), 1000.0f);
    EXPECT_TRUE(std::isnan(loss_of(2)));
    EXPECT_EQ(softmax(context, z, 1).to_host<float>(context), (std::vector<float>{1.0f}));
  });
}

// The tail of a sure row keeps its relative precision: loss and slope are e^-20 there, far below 2^-24.
TEST(SoftmaxCrossEntropy, SureRowsStillHaveALoss) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const Variable z = tape.input(Tensor::from_host<float>(context, {1, 3}, std::vector<float>{-10, 10, -10}));
    const Tensor label = Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{1});
    const Variable loss = softmax_cross_entropy(tape, z, label, 1);
    const double rest = 2 * std::exp(-20.0);
    EXPECT_NEAR(loss.value.to_host<float>(context)[0] / std::log1p(rest), 1, 1e-6);
    tape.backward(loss, Tensor::from_host<float>(context, {1}, std::vector<float>{1}));
    EXPECT_NEAR(tape.gradient(z).to_host<float>(context)[1] / -(rest / (1 + rest)), 1, 1e-6);
  });
}

TEST(Softmax, AgreesWithDoublePrecision) {
  for (const int64_t classes : {1, 31, 33, 81}) {
    const OpInput input = random_input({7, classes}, 9, 3.0);
    const std::vector<float> logits(input.values.begin(), input.values.end());
    for (const int64_t kept : {int64_t{1}, classes}) {
      for_each_backend([&](Context& context) {
        const Tensor z = Tensor::from_host<float>(context, {7, classes}, logits);
        const std::vector<float> values = softmax(context, z, kept).to_host<float>(context);
        ASSERT_EQ(values.size(), static_cast<size_t>(7 * kept));
        for (int64_t row = 0; row < 7; ++row) {
          double sum = 0;
          const double* of_row = input.values.data() + row * classes;
          for (int64_t k = 0; k < classes; ++k) sum += std::exp(of_row[k]);
          for (int64_t k = 0; k < kept; ++k) {
            const double expected = std::exp(of_row[k]) / sum;
            EXPECT_NEAR(values[static_cast<size_t>(row * kept + k)], expected, 2e-6 * expected);
          }
        }
      });
    }
  }
}

}  // namespace
}  // namespace tessera
