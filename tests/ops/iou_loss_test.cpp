#include "engine/ops/iou_loss.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/iou_loss.h"

namespace tessera {
namespace {

using namespace testing_support;

// Distances between 0.1 and about 8.
OpInput random_distances(int64_t rows, uint64_t sample) {
  OpInput input = random_input({rows, 4}, sample, 3.0);
  for (double& value : input.values) value = static_cast<float>(std::abs(value) + 0.1);
  return input;
}

float loss_of(Context& context, const std::vector<float>& p, const std::vector<float>& t,
              const IouLossOptions& options) {
  Tape tape(context, Tape::Mode::forward);
  const auto rows = static_cast<int64_t>(p.size()) / 4;
  const std::vector<float> ones(static_cast<size_t>(rows), 1.0f);
  return iou_loss(tape, Tensor::from_host<float>(context, {rows, 4}, p),
                  Tensor::from_host<float>(context, {rows, 4}, t), Tensor::from_host<float>(context, {rows}, ones),
                  options)
      .value.to_host<float>(context)[0];
}

TEST(IouLoss, AgreesWithOracle) {
  for (const int64_t rows : {1, 9, 1200}) {
    const OpInput target = random_distances(rows, 21);
    std::vector<float> weights(static_cast<size_t>(rows));
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.2f + 0.1f * static_cast<float>(i % 8);
    for (const auto& [kind, oracle] : {std::pair{IouLossKind::iou, reference::OverlapLoss::iou},
                                       std::pair{IouLossKind::linear_iou, reference::OverlapLoss::linear_iou},
                                       std::pair{IouLossKind::giou, reference::OverlapLoss::giou}}) {
      for (const bool torchvision : {false, true}) {
        check_op(
            fmt::format("iou loss {} {} {}", rows, static_cast<int>(kind), torchvision), {random_distances(rows, 20)},
            [&](Tape& tape, const std::vector<Variable>& x) {
              std::vector<float> values(target.values.begin(), target.values.end());
              return iou_loss(tape, x[0], Tensor::from_host<float>(tape.context(), {rows, 4}, values),
                              Tensor::from_host<float>(tape.context(), {rows}, weights),
                              {.kind = kind, .normalizer = 7.0f, .torchvision = torchvision});
            },
            [&](const auto& x) {
              double sum = 0;
              for (size_t i = 0; i < weights.size(); ++i) {
                sum += double{weights[i]} *
                       reference::overlap_loss(&x[0][4 * i], &target.values[4 * i], oracle, torchvision);
              }
              return std::vector<double>{sum / 7};
            },
            {.jacobian_limit = 200});
      }
    }
  }
}

TEST(IouLoss, ValuesWorkedOutByHand) {
  for_each_backend([&](Context& context) {
    // 2x2 inside 4x4: I = 4, U = 16, H = 16.
    const std::vector<float> small{1, 1, 1, 1}, large{2, 2, 2, 2};
    EXPECT_NEAR(loss_of(context, small, large, {.kind = IouLossKind::linear_iou}), 1 - 5.0 / 17, 1e-6);
    EXPECT_NEAR(loss_of(context, small, large, {.kind = IouLossKind::iou}), -std::log(5.0 / 17), 1e-6);
    EXPECT_NEAR(loss_of(context, small, large, {.kind = IouLossKind::giou}), 1 - 5.0 / 17, 1e-6);
    EXPECT_NEAR(loss_of(context, small, large, {.kind = IouLossKind::linear_iou, .torchvision = true}), 0.75, 1e-6);
    // 2 wide, 4 high against 4 wide, 2 high: I = 4, U = 12, H = 16.
    const std::vector<float> tall{1, 2, 1, 2}, wide{2, 1, 2, 1};
    EXPECT_NEAR(loss_of(context, tall, wide, {.kind = IouLossKind::giou}), 1 - (5.0 / 13 - 4.0 / 16), 1e-6);
    EXPECT_EQ(loss_of(context, large, large, {.kind = IouLossKind::giou}), 0.0f);
  });
}

TEST(IouLoss, EmptyPredictionsAndNoRows) {
  for_each_backend([&](Context& context) {
    for (const IouLossKind kind : {IouLossKind::iou, IouLossKind::linear_iou, IouLossKind::giou}) {
      for (const bool torchvision : {false, true}) {
        const IouLossOptions options{.kind = kind, .torchvision = torchvision};
        EXPECT_TRUE(std::isfinite(loss_of(context, {0, 0, 0, 0}, {2, 2, 2, 2}, options)));
        EXPECT_TRUE(std::isfinite(loss_of(context, {0, 0, 0, 0}, {0, 0, 0, 0}, options)));
        EXPECT_EQ(loss_of(context, {}, {}, options), 0.0f);
      }
    }
  });
}

TEST(IouLoss, EqualSidesShareTheDerivative) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const std::vector<float> sides{2, 2, 2, 2}, one{1};
    const Variable predicted = tape.input(Tensor::from_host<float>(context, {1, 4}, sides));
    const Variable loss = iou_loss(tape, predicted, Tensor::from_host<float>(context, {1, 4}, sides),
                                   Tensor::from_host<float>(context, {1}, one), {.kind = IouLossKind::linear_iou});
    tape.backward(loss);
    // I = U = 16; dI/dl = 4/2, dU/dl = 4 - 2: d(1 - (I+1)/(U+1)) = -(2 - 2)/17 = 0.
    for (const float value : tape.gradient(predicted).to_host<float>(context)) EXPECT_NEAR(value, 0.0, 1e-7);
  });
}

TEST(DistanceIou, PlainOverlap) {
  for_each_backend([&](Context& context) {
    const std::vector<float> p{1, 1, 1, 1, 0, 0, 0, 0, 1, 2, 1, 2}, t{2, 2, 2, 2, 0, 0, 0, 0, 2, 1, 2, 1};
    const std::vector<float> iou = distance_iou(context, Tensor::from_host<float>(context, {3, 4}, p),
                                                Tensor::from_host<float>(context, {3, 4}, t))
                                       .to_host<float>(context);
    EXPECT_FLOAT_EQ(iou[0], 0.25f);
    EXPECT_EQ(iou[1], 0.0f);
    EXPECT_FLOAT_EQ(iou[2], 1.0f / 3);
  });
}

}  // namespace
}  // namespace tessera
