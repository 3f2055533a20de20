// On a plan context ops know shapes, costs and memory, and touch no data: its pointers lead nowhere, so an op that
// follows one outside of dispatch crashes here.
#include <gtest/gtest.h>

#include "engine/ops/batch_norm.h"
#include "engine/ops/concat.h"
#include "engine/ops/frozen_batch_norm.h"
#include "engine/ops/group_norm.h"
#include "engine/ops/pyramid.h"
#include "engine/ops/reshape.h"
#include "engine/ops/resize.h"
#include "engine/ops/row_gather.h"
#include "engine/ops/scale.h"
#include "engine/ops/scale_levels.h"
#include "engine/ops/sigmoid.h"

namespace tessera {
namespace {

TEST(Plan, OpsInferShapesForwardAndBackwardWithoutData) {
  PlanContext context;
  Tape tape(context);
  const auto input = [&](const Shape& shape) { return tape.input(Tensor::empty(context, shape)); };
  const Variable weight = input({64}), bias = input({64});
  const AffineTensors affine =
      frozen_batch_norm_affine(context, weight.value, bias.value, weight.value, bias.value, 1e-5f);
  Variable fine = group_norm(tape, input({2, 100, 168, 64}), weight, bias, {.relu = true});
  Variable coarse = batch_norm(tape, input({2, 50, 84, 64}), weight, bias, bias.value, weight.value);
  coarse = channel_affine(tape, coarse, affine.scale, affine.shift, true);
  fine = resize_nearest_add(tape, coarse, fine);
  const Variable joined = concat_channels(tape, {fine, resize_bilinear(tape, coarse, 100, 168)});
  EXPECT_EQ(joined.shape(), (Shape{2, 100, 168, 128}));
  Pyramid pyramid = stack_pyramid(tape, {fine, resize_nearest(tape, coarse, 25, 42)}, {8, 32});
  pyramid = group_norm(tape, pyramid, weight, bias, {.groups = 8});
  pyramid = scale_levels(tape, pyramid, {input({1}), input({1})}, ScaleActivation::exp);
  EXPECT_EQ(pyramid.rows.shape(), (Shape{2 * (16800 + 1050), 64}));
  EXPECT_EQ(pyramid_level(tape, pyramid, 1).shape(), (Shape{2, 25, 42, 64}));
  const Variable top = pyramid_levels(tape, pyramid)[1];
  const Variable rows = row_gather(tape, reshape(tape, top, {2100, 64}), Tensor::empty(context, {7}, DType::i32));
  const Variable y = scale(tape, sigmoid(tape, rows), 2.0f);
  EXPECT_EQ(y.shape(), (Shape{7, 64}));
  tape.backward(y, Tensor::empty(context, y.shape()));
  EXPECT_EQ(tape.gradient(weight).shape(), (Shape{64}));
}

}  // namespace
}  // namespace tessera
