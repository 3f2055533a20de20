#include "engine/ops/dice_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/mask_losses.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/dice_loss.h"

namespace tessera {
namespace {

using namespace testing_support;

OpUnderTest op(const MaskTargets& targets, const DiceLossOptions& options) {
  return [=](Tape& tape, const std::vector<Variable>& in) {
    return dice_loss(tape, in[0], targets.words_tensor(tape.context()), targets.index_tensor(tape.context()), options);
  };
}

OpOracle oracle(const MaskTargets& targets, const DiceLossOptions& options) {
  return [=](const std::vector<std::vector<double>>& in) {
    return std::vector<double>{reference::dice_loss(in[0], targets.bits(), static_cast<size_t>(targets.pixels),
                                                    options.squared, options.normalizer)};
  };
}

TEST(DiceLoss, AgreesWithOracle) {
  struct Case {
    Shape logits;
    int64_t targets;
  };
  for (const Case& each : {Case{{1, 1, 1}, 2}, Case{{3, 4, 5}, 2}, Case{{2, 8, 8}, 3}, Case{{4, 3, 11}, 4}}) {
    for (const bool squared : {true, false}) {
      const MaskTargets targets = random_masks(each.logits[0], each.targets, each.logits[1] * each.logits[2]);
      const DiceLossOptions options{.normalizer = 1.5f, .squared = squared};
      check_op("dice_loss " + each.logits.to_string(), {random_input(each.logits, 1, 2.0)}, op(targets, options),
               oracle(targets, options));
    }
  }
}

TEST(DiceLoss, AgreesWithOracleOverManyChunks) {
  const MaskTargets targets = random_masks(3, 3, 103 * 97);
  OpTolerance tolerance;
  tolerance.jacobian_limit = 20;
  tolerance.step = 1e-3;
  check_op("dice_loss of large masks", {random_input({3, 103, 97}, 2, 3.0)}, op(targets, {}), oracle(targets, {}),
           tolerance);
}

TEST(DiceLoss, GoldenValues) {  // spec yolactr.md, section 4.3, with the weight 3 of the total loss
  for_each_backend([](Context& context) {
    Tape tape(context);
    const std::vector<float> z = {2, -1, .5f, -3}, three = {3};
    const std::vector<int32_t> bits = {0b1101}, index = {0};
    const Variable logits = tape.input(Tensor::from_host<float>(context, {1, 2, 2}, z));
    const Variable loss = dice_loss(tape, logits, Tensor::from_host<int32_t>(context, {1, 1}, bits),
                                    Tensor::from_host<int32_t>(context, {1}, index));
    EXPECT_NEAR(loss.value.to_host<float>(context)[0], .26851811, 1e-7);
    tape.backward(loss);
    const std::vector<float> gradient = tape.gradient(logits).to_host<float>(context);
    const double expected[] = {-.01761745, .01824534, -.06038078, -.02057127};
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-7) << i;
  });
}

TEST(DiceLoss, WithoutMasksIsZero) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const Variable logits = tape.input(Tensor::zeros(context, {0, 8, 8}));
    const Variable loss =
        dice_loss(tape, logits, Tensor::zeros(context, {0, 2}, DType::i32), Tensor::zeros(context, {0}, DType::i32));
    EXPECT_EQ(loss.value.to_host<float>(context)[0], 0.0f);
    tape.backward(loss);
  });
}

TEST(DiceLoss, OfHopelessLogitsIsFinite) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const std::vector<float> z = {1000, -1000, -INFINITY, 88};
    const std::vector<int32_t> bits = {0b0110}, index = {0};
    const Variable logits = tape.input(Tensor::from_host<float>(context, {1, 2, 2}, z));
    const Variable loss = dice_loss(tape, logits, Tensor::from_host<int32_t>(context, {1, 1}, bits),
                                    Tensor::from_host<int32_t>(context, {1}, index));
    EXPECT_NEAR(loss.value.to_host<float>(context)[0], 1.0f, 1e-6);
    tape.backward(loss);
    for (const float g : tape.gradient(logits).to_host<float>(context)) EXPECT_TRUE(std::isfinite(g));
  });
}

TEST(DiceLoss, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("dice_loss", {random_input({5, 101, 99}, 3)}, op(random_masks(5, 2, 9999), {}));
}

}  // namespace
}  // namespace tessera
