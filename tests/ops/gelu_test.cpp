#include "engine/ops/gelu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/gelu.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Gelu, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1}, Shape{3, 5, 7}, Shape{0, 4}, Shape{500}}) {
    check_op(
        "gelu " + shape.to_string(), {random_input(shape, 2, 2.0)},
        [](Tape& tape, const std::vector<Variable>& in) { return gelu(tape, in[0]); },
        [](const auto& in) { return reference::gelu(in[0]); }, {.forward_absolute = 1e-6});
  }
}

TEST(Gelu, GoesToZeroAndToTheIdentity) {
  for_each_backend([](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const std::vector<float> x = {-100.0f, -20.0f, 0.0f, 20.0f, 1e30f, INFINITY};
    const std::vector<float> y = gelu(tape, Tensor::from_host<float>(context, {6}, x)).value.to_host<float>(context);
    EXPECT_EQ(y, (std::vector<float>{0.0f, 0.0f, 0.0f, 20.0f, 1e30f, INFINITY}));
  });
}

TEST(Gelu, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("gelu", {random_input({50003}, 3)},
                                   [](Tape& tape, const std::vector<Variable>& in) { return gelu(tape, in[0]); });
}

}  // namespace
}  // namespace tessera
