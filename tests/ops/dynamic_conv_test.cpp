#include "engine/ops/dynamic_conv.h"

#include <gtest/gtest.h>

#include "engine/ops/resize.h"
#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/dynamic_conv.h"

namespace tessera {
namespace {

using namespace testing_support;

std::vector<OpInput> inputs(const Shape& features, int64_t instances) {
  return {random_input(features, 1), random_input({instances, features[3]}, 2)};
}

OpUnderTest op(const std::vector<int64_t>& first) {
  return [first](Tape& tape, const std::vector<Variable>& in) { return dynamic_conv(tape, in[0], in[1], first); };
}

OpOracle oracle(const Shape& features, const std::vector<int64_t>& first) {
  return [=](const std::vector<std::vector<double>>& in) {
    return reference::dynamic_conv(in[0], in[1], first, features[1] * features[2], features[3]);
  };
}

void check(const Shape& features, const std::vector<int64_t>& first, const OpTolerance& tolerance = {}) {
  check_op("dynamic_conv " + features.to_string(), inputs(features, first.back()), op(first), oracle(features, first),
           tolerance);
}

TEST(DynamicConv, AgreesWithOracle) {
  check({1, 1, 1, 1}, {0, 1});
  check({2, 3, 5, 4}, {0, 2, 3});
  check({3, 2, 7, 6}, {0, 0, 5, 5});
  check({1, 9, 9, 19}, {0, 13});
  check({2, 4, 4, 3}, {0, 0, 0});
}

TEST(DynamicConv, AgreesWithOracleAcrossBlocksAndChunks) {
  OpTolerance tolerance;
  tolerance.jacobian_limit = 10;
  check({2, 33, 37, 40}, {0, 17, 19}, tolerance);
}

TEST(DynamicConv, CommutesWithBilinearEnlargement) {
  for_each_backend([](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const OpInput f = random_input({1, 5, 6, 8}, 3), k = random_input({3, 8}, 4);
    const std::vector<float> fv(f.values.begin(), f.values.end()), kv(k.values.begin(), k.values.end());
    const Variable features = Tensor::from_host<float>(context, f.shape, fv);
    const Variable kernels = Tensor::from_host<float>(context, k.shape, kv);
    const std::vector<int64_t> first = {0, 3};
    const Variable small = dynamic_conv(tape, features, kernels, first);
    const Variable one = resize_bilinear(tape, Variable(small.value.reshape({3, 5, 6, 1})), 20, 24);
    const Variable other = dynamic_conv(tape, resize_bilinear(tape, features, 20, 24), kernels, first);
    const std::vector<float> a = one.value.to_host<float>(context), b = other.value.to_host<float>(context);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-6 * 8 * 4);
  });
}

TEST(DynamicConv, KeepsOnlyWhatTheWantedGradientNeeds) {
  CpuContext context(1);
  Tape tape(context);
  const std::vector<int64_t> first = {0, 2};
  const Variable kernels = tape.input(Tensor::zeros(context, {2, 4}));
  dynamic_conv(tape, Tensor::zeros(context, {1, 8, 8, 4}), kernels, first);
  EXPECT_EQ(tape.saved_bytes(), 8u * 8 * 4 * 4);
  tape.clear();
  dynamic_conv(tape, tape.input(Tensor::zeros(context, {1, 8, 8, 4})), Tensor::zeros(context, {2, 4}), first);
  EXPECT_EQ(tape.saved_bytes(), 2u * 4 * 4);
}

TEST(DynamicConv, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("dynamic_conv", inputs({2, 41, 53, 24}, 9), op({0, 4, 9}));
}

TEST(DynamicConv, CountsItsMultiplyAddsAndRefusesBadDivisions) {
  PlanContext context;
  Tape tape(context);
  const Tensor f = Tensor::empty(context, {2, 4, 5, 8}), k = Tensor::empty(context, {3, 8});
  const std::vector<int64_t> good = {0, 1, 3}, fewer = {0, 1, 2}, back = {0, 4, 3}, one = {0, 3};
  dynamic_conv(tape, f, k, good);
  EXPECT_EQ(tape.costs()[0].macs, 3 * 20 * 8);
  for (const auto& bad : {fewer, back, one}) EXPECT_THROW(dynamic_conv(tape, f, k, bad), Error);
}

}  // namespace
}  // namespace tessera
