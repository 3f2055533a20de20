#include "engine/ops/frozen_batch_norm.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/frozen_batch_norm.h"

namespace tessera {
namespace {

using namespace testing_support;

// The affine where it is applied: statistics have no gradient, x has.
TEST(FrozenBatchNorm, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 2, 3, 130}, Shape{0, 4, 4, 3}}) {
    for (const float epsilon : {1e-5f, 0.0f}) {
      std::vector<OpInput> inputs = {random_input(shape, 1)};
      for (uint64_t sample = 2; sample < 5; ++sample) inputs.push_back(random_input({shape[3]}, sample));
      inputs.push_back(random_input_away_from_zero({shape[3]}, 5, 0.25));
      for (double& variance : inputs.back().values) variance = std::abs(variance);
      for (size_t i = 1; i < inputs.size(); ++i) inputs[i].differentiable = false;
      check_op(
          "frozen_batch_norm " + shape.to_string(), inputs,
          [&](Tape& tape, const std::vector<Variable>& in) {
            const AffineTensors affine =
                frozen_batch_norm_affine(tape.context(), in[1].value, in[2].value, in[3].value, in[4].value, epsilon);
            return channel_affine(tape, in[0], affine.scale, affine.shift);
          },
          [&](const auto& in) { return reference::frozen_batch_norm(in[0], in[1], in[2], in[3], in[4], epsilon); });
    }
  }
}

TEST(FrozenBatchNorm, KnownValues) {
  for_each_backend([](Context& context) {
    const auto tensor = [&](std::vector<float> values) { return Tensor::from_host<float>(context, {2}, values); };
    const AffineTensors affine =
        frozen_batch_norm_affine(context, tensor({2, 3}), tensor({1, -1}), tensor({4, 5}), tensor({4, 0.25}), 0.0f);
    EXPECT_EQ(affine.scale.to_host<float>(context), (std::vector<float>{1, 6}));
    EXPECT_EQ(affine.shift.to_host<float>(context), (std::vector<float>{-3, -31}));
    const AffineTensors softened =
        frozen_batch_norm_affine(context, tensor({1, 1}), tensor({0, 0}), tensor({0, 1}), tensor({0, 0}), 0.25f);
    EXPECT_EQ(softened.scale.to_host<float>(context), (std::vector<float>{2, 2}));
    EXPECT_EQ(softened.shift.to_host<float>(context), (std::vector<float>{0, -2}));
  });
}

}  // namespace
}  // namespace tessera
