#include "engine/ops/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/ops/op_check.h"
#include "tests/reference/softmax_cross_entropy.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(SoftmaxCrossEntropy, AgreesWithOracle) {
  for (const int64_t classes : {1, 2, 5, 81}) {
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

TEST(SoftmaxCrossEntropy, FarLogitsAndBadLabels) {
  CpuContext context(1);
  Tape tape(context);
  const Tensor z = Tensor::from_host<float>(context, {1, 2}, std::vector<float>{500, -500});
  const auto label = [&](int32_t value) {
    return Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{value});
  };
  EXPECT_EQ(softmax_cross_entropy(tape, z, label(0), 1).value.to_host<float>(context)[0], 0.0f);
  EXPECT_EQ(softmax_cross_entropy(tape, z, label(1), 1).value.to_host<float>(context)[0], 1000.0f);
  EXPECT_THROW(softmax_cross_entropy(tape, z, label(2), 1), std::out_of_range);
  EXPECT_EQ(softmax(context, z, 1).to_host<float>(context), (std::vector<float>{1.0f}));
}

}  // namespace
}  // namespace tessera
