#include "engine/ops/mask_binary_cross_entropy.h"

#include <gtest/gtest.h>

#include "tests/ops/mask_losses.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/mask_binary_cross_entropy.h"

namespace tessera {
namespace {

using namespace testing_support;

OpUnderTest op(const MaskTargets& targets, float normalizer) {
  return [=](Tape& tape, const std::vector<Variable>& in) {
    Context& context = tape.context();
    return mask_binary_cross_entropy(tape, in[0], targets.words_tensor(context), targets.index_tensor(context),
                                     normalizer);
  };
}

OpOracle oracle(const MaskTargets& targets, double normalizer) {
  return [=](const std::vector<std::vector<double>>& in) {
    return std::vector<double>{
        reference::mask_binary_cross_entropy(in[0], targets.bits(), static_cast<size_t>(targets.pixels), normalizer)};
  };
}

TEST(MaskBinaryCrossEntropy, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 4, 5}, Shape{2, 8, 8}, Shape{4, 3, 11}}) {
    const MaskTargets targets = random_masks(shape[0], 2, shape[1] * shape[2]);
    check_op("mask_binary_cross_entropy " + shape.to_string(), {random_input(shape, 1, 2.0)}, op(targets, 2.5f),
             oracle(targets, 2.5));
  }
}

TEST(MaskBinaryCrossEntropy, AgreesWithOracleOverManyChunks) {
  const MaskTargets targets = random_masks(3, 3, 103 * 97);
  OpTolerance tolerance;
  tolerance.jacobian_limit = 20;
  tolerance.step = 1e-3;
  check_op("mask_binary_cross_entropy of large masks", {random_input({3, 103, 97}, 2, 3.0)}, op(targets, 1),
           oracle(targets, 1), tolerance);
}

TEST(MaskBinaryCrossEntropy, WithoutMasksIsZero) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const Variable loss =
        mask_binary_cross_entropy(tape, Tensor::zeros(context, {0, 8, 8}), Tensor::zeros(context, {0, 2}, DType::i32),
                                  Tensor::zeros(context, {0}, DType::i32));
    EXPECT_EQ(loss.value.to_host<float>(context)[0], 0.0f);
  });
}

TEST(MaskBinaryCrossEntropy, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("mask_binary_cross_entropy", {random_input({5, 101, 99}, 3)},
                                   op(random_masks(5, 2, 9999), 1));
}

}  // namespace
}  // namespace tessera
