#include "engine/autograd/recompute.h"

#include <gtest/gtest.h>

#include "engine/autograd/parameter_store.h"
#include "engine/ops/add.h"
#include "engine/ops/linear.h"
#include "engine/ops/relu.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

struct Result {
  std::vector<float> y, dx, dw;
  size_t saved = 0;
};

// Three times x + relu(x w^T), with or without recomputation.
Result run(bool again, bool input_learns) {
  CpuContext context(1);
  ParameterStore store;
  const Parameter& weight = store.declare("weight", {8, 8}, ParameterRole::weight, Initializer::normal(0.3f));
  store.allocate(context, 1, true);
  Tape tape(context);
  const OpInput input = random_input({32, 8}, 1);
  const Tensor values =
      Tensor::from_host<float>(context, input.shape, std::vector<float>(input.values.begin(), input.values.end()));
  const Variable x = input_learns ? tape.input(values) : Variable(values);
  const auto layer = [&weight](Tape& on, const Variable& in) {
    return add(on, in, relu(on, linear(on, in, on.parameter(weight))));
  };
  Variable y = x;
  for (int i = 0; i < 3; ++i) y = again ? recompute(tape, y, layer) : layer(tape, y);
  Result result{y.value.to_host<float>(context), {}, {}, tape.saved_bytes()};
  const OpInput cotangent = random_input(y.shape(), 2);
  tape.backward(y, Tensor::from_host<float>(context, cotangent.shape,
                                            std::vector<float>(cotangent.values.begin(), cotangent.values.end())));
  if (input_learns) result.dx = tape.gradient(x).to_host<float>(context);
  result.dw = weight.gradient.to_host<float>(context);
  return result;
}

TEST(Recompute, SameBitsWithLessMemory) {
  const Result kept = run(false, true), again = run(true, true);
  EXPECT_EQ(kept.y, again.y);
  EXPECT_EQ(kept.dx, again.dx);
  EXPECT_EQ(kept.dw, again.dw);
  EXPECT_EQ(again.saved, 3u * 32 * 8 * 4);
  EXPECT_GT(kept.saved, again.saved);
}

TEST(Recompute, ParametersLearnBehindAConstantInput) { EXPECT_EQ(run(false, false).dw, run(true, false).dw); }

TEST(Recompute, NothingIsRecordedWithoutGradients) {
  CpuContext context(1);
  Tape tape(context, Tape::Mode::forward);
  recompute(tape, Tensor::zeros(context, {2, 2}), [](Tape& on, const Variable& x) { return relu(on, x); });
  EXPECT_EQ(tape.node_count(), 0u);
}

}  // namespace
}  // namespace tessera
