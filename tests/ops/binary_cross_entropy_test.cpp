#include "engine/ops/binary_cross_entropy.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/binary_cross_entropy.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(BinaryCrossEntropy, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1}, Shape{7, 1}, Shape{5000}}) {
    const int64_t count = shape.elements();
    std::vector<float> targets(static_cast<size_t>(count));
    for (size_t i = 0; i < targets.size(); ++i) targets[i] = static_cast<float>(i % 5) / 4;
    for (const double deviation : {1.0, 40.0}) {
      check_op(
          "bce " + shape.to_string(), {random_input(shape, 3, deviation)},
          [&](Tape& tape, const std::vector<Variable>& x) {
            const Tensor t = Tensor::from_host<float>(tape.context(), {count}, targets);
            return binary_cross_entropy_with_logits(tape, x[0], t, 3.5f);
          },
          [&](const auto& x) {
            double sum = 0;
            for (size_t i = 0; i < targets.size(); ++i) sum += reference::binary_cross_entropy(x[0][i], targets[i]);
            return std::vector<double>{sum / 3.5};
          },
          {.jacobian_limit = 300});
    }
  }
}

TEST(BinaryCrossEntropy, ValuesOfTheSpecification) {
  for_each_backend([&](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const auto value = [&](float z, float t) {
      const Tensor logits = Tensor::from_host<float>(context, {1}, std::vector<float>{z});
      const Tensor targets = Tensor::from_host<float>(context, {1}, std::vector<float>{t});
      return binary_cross_entropy_with_logits(tape, logits, targets, 1.0f).value.to_host<float>(context)[0];
    };
    EXPECT_NEAR(value(5, 1), 0.0067153485, 1e-9);
    EXPECT_NEAR(value(-5, 1), 5.0067153485, 5e-7);
    EXPECT_NEAR(value(0, 1), 0.6931472, 1e-7);
  });
}

TEST(BinaryCrossEntropy, NoElements) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable logits = tape.input(Tensor::zeros(context, {0, 1}));
    const Variable loss = binary_cross_entropy_with_logits(tape, logits, Tensor::zeros(context, {0}), 1.0f);
    tape.backward(loss);
    EXPECT_EQ(loss.value.to_host<float>(context)[0], 0.0f);
    EXPECT_EQ(tape.gradient(logits).elements(), 0);
  });
}

}  // namespace
}  // namespace tessera
