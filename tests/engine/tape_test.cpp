#include "engine/autograd/tape.h"

#include <gtest/gtest.h>

#include "engine/autograd/parameter_store.h"
#include "engine/ops/add.h"
#include "engine/ops/relu.h"

namespace tessera {
namespace {

Tensor vector_of(Context& context, std::vector<float> values) {
  return Tensor::from_host<float>(context, {static_cast<int64_t>(values.size())}, values);
}

TEST(Tiny, OneOpOneTapeOneGradient) {
  CpuContext context(1);
  Tape tape(context);
  const Variable x = tape.input(vector_of(context, {-2, 3}));
  const Variable y = relu(tape, x);
  tape.backward(y, vector_of(context, {10, 20}));
  EXPECT_EQ(y.value.to_host<float>(context), (std::vector<float>{0, 3}));
  EXPECT_EQ(tape.gradient(x).to_host<float>(context), (std::vector<float>{0, 20}));
}

TEST(Tape, GradientsOfSharedTensorsAddUpAndNeverAlias) {
  CpuContext context(1);
  Tape tape(context);
  const Variable a = tape.input(vector_of(context, {1, 2}));
  const Variable b = tape.input(vector_of(context, {3, 4}));
  const Variable sum = add(tape, a, b);      // both inputs receive one and the same gradient tensor
  const Variable twice = add(tape, sum, a);  // a second contribution to a must not change the one of b
  tape.backward(twice, vector_of(context, {1, 10}));
  EXPECT_EQ(tape.gradient(a).to_host<float>(context), (std::vector<float>{2, 20}));
  EXPECT_EQ(tape.gradient(b).to_host<float>(context), (std::vector<float>{1, 10}));
}

TEST(Tape, RecordsNothingWithoutGradients) {
  CpuContext context(1);
  Tape tape(context, Tape::Mode::forward);
  EXPECT_FALSE(relu(tape, tape.input(vector_of(context, {1}))).needs_gradient());
  Tape recording(context);
  {
    Tape::NoGrad no_grad(recording);
    EXPECT_FALSE(relu(recording, recording.input(vector_of(context, {1}))).needs_gradient());
  }
  EXPECT_FALSE(relu(recording, Variable(vector_of(context, {1}))).needs_gradient());
  EXPECT_EQ(recording.node_count(), 0u);
}

TEST(Tape, FreesSavedTensorsWhileItWalks) {
  CpuContext context(1);
  Tape tape(context);
  const size_t before = context.allocator()->statistics().live;
  {
    const Variable x = tape.input(vector_of(context, std::vector<float>(1000, 1.0f)));
    Variable y = relu(tape, x);
    for (int i = 0; i < 3; ++i) y = relu(tape, y);
    EXPECT_EQ(tape.saved_bytes(), 4 * 4000u);
    tape.backward(y, vector_of(context, std::vector<float>(1000, 1.0f)));
    EXPECT_EQ(tape.saved_bytes(), 0u);
  }
  tape.clear();
  EXPECT_EQ(context.allocator()->statistics().live, before);
}

TEST(Tape, FrozenParametersAreConstants) {
  CpuContext context(1);
  ParameterStore store;
  Parameter& moving = store.declare("moving", {2}, ParameterRole::weight, Initializer::ones());
  Parameter& frozen = store.declare("frozen", {2}, ParameterRole::weight, Initializer::ones());
  frozen.trainable = false;
  store.allocate(context, 1, true);
  Tape tape(context);
  const Variable sum = add(tape, tape.parameter(moving), tape.parameter(frozen));
  tape.backward(sum, vector_of(context, {5, 6}));
  EXPECT_EQ(moving.gradient.to_host<float>(context), (std::vector<float>{5, 6}));
  EXPECT_FALSE(frozen.gradient.defined());
  EXPECT_EQ(store.count(), 4);
}

TEST(Tape, PlansWithoutComputing) {
  PlanContext context;
  Tape tape(context);
  Tape::Stage stage(tape, "stage");
  const Variable x = tape.input(Tensor::empty(context, {1000, 1000, 100}));
  const Variable y = relu(tape, x);
  EXPECT_EQ(tape.costs().at(0).name, "stage");
  EXPECT_EQ(tape.costs().at(0).activation_bytes, 400'000'000);
  EXPECT_EQ(context.allocator()->statistics().peak, 800'000'000u);
  EXPECT_TRUE(y.needs_gradient());
}

}  // namespace
}  // namespace tessera
