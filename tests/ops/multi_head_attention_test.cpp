#include "engine/ops/multi_head_attention.h"

#include <gtest/gtest.h>

#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "kernels/multi_head_attention.h"
#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/multi_head_attention.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::MultiHeadAttentionCase;

std::vector<OpInput> inputs(const MultiHeadAttentionCase& of) {
  return {random_input({of.sequences, of.queries, of.channels}, 1),
          random_input({of.sequences, of.keys, of.channels}, 2), random_input({of.sequences, of.keys, of.channels}, 3)};
}

OpUnderTest op_of(const MultiHeadAttentionCase& of) {
  return [heads = static_cast<int>(of.heads)](Tape& tape, const std::vector<Variable>& in) {
    return multi_head_attention(tape, in[0], in[1], in[2], heads);
  };
}

void check(const MultiHeadAttentionCase& of, const OpTolerance& tolerance = {}) {
  const std::string name = fmt::format("multi_head_attention of {} queries to {} keys, {} heads of {}", of.queries,
                                       of.keys, of.heads, of.width());
  check_op(
      name, inputs(of), op_of(of),
      [&](const auto& in) { return reference::multi_head_attention(of, in[0], in[1], in[2]); }, tolerance);
}

constexpr OpTolerance kFewProbes{.jacobian_limit = 6};

// Also under the race checker.
TEST(MultiHeadAttention, AgreesWithOracle) {
  check({1, 1, 2, 4, 2});
  check({2, 3, 5, 6, 3});
  check({1, 2, 2, 8, 1});
  check({1, 7, 4, 10, 2});
  check({0, 3, 3, 4, 2});
  check({2, 0, 3, 4, 2});
}

TEST(MultiHeadAttention, AgreesWithOracleAroundEveryTile) {
  for (const int64_t length : {15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200}) {
    check({1, length, length, 16, 2}, kFewProbes);
  }
}

TEST(MultiHeadAttention, AgreesWithOracleBetweenSequencesOfDifferentLength) {
  check({1, 1, 200, 16, 1}, kFewProbes);
  check({2, 63, 129, 48, 2}, kFewProbes);
  check({3, 65, 2, 64, 1}, kFewProbes);
}

TEST(MultiHeadAttention, AgreesWithOracleInHeadsOfAnyWidth) {
  for (const int64_t width : {1, 5, 8, 16, 17, 24, 32, 33, 64, 66, 100, 128}) {
    check({1, 70, 37, 2 * width, 2}, kFewProbes);
  }
}

// Of more channels than the tiles of a device have room for.
TEST(MultiHeadAttention, AgreesWithOracleInVeryWideHeads) {
  check({2, 5, 9, 130, 1}, kFewProbes);
  check({1, 9, 6, 514, 2}, kFewProbes);
}

// A log-sum-exp of -1,100: exp of what a tile has behind the last key, whose scores are zeros, is infinite. Scores err
// by up to 24 roundings of 2^-24 times their size, and P by that share.
TEST(MultiHeadAttention, AgreesWithOracleOnScoresFarBelowZero) {
  const MultiHeadAttentionCase of{1, 5, 6, 8, 1};
  const OpTolerance tolerance{.forward_absolute = 2e-3, .gradient_absolute = 2e-3};
  check_op(
      "multi_head_attention of scores far below zero",
      {random_input({1, of.queries, of.channels}, 1, 0.1, 20), random_input({1, of.keys, of.channels}, 2, 0.1, -20),
       random_input({1, of.keys, of.channels}, 3)},
      op_of(of), [&](const auto& in) { return reference::multi_head_attention(of, in[0], in[1], in[2]); }, tolerance);
}

// Its gradients are no case for check_op, which measures errors against the largest gradient: those of q and k are
// zero, and computed as the difference of two sums of the same terms. multi_head_attention_device_test.cpp has their
// bound.
TEST(MultiHeadAttention, OfOneKeyIsItsValue) {
  for_each_backend([](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const auto tensor = [&](const Shape& shape, const std::vector<float>& values) {
      return Tensor::from_host<float>(context, shape, values);
    };
    const Variable y = multi_head_attention(tape, tensor({1, 3, 2}, {100, -3, 5, 7, 0, 1}), tensor({1, 1, 2}, {1, 2}),
                                            tensor({1, 1, 2}, {3, 4}), 2);
    EXPECT_EQ(y.value.to_host<float>(context), (std::vector<float>{3, 4, 3, 4, 3, 4}));
  });
}

TEST(MultiHeadAttention, LargeScoresChooseOneKey) {
  for_each_backend([](Context& context) {
    // Scores of 90,000 and less, the largest in another tile than the first: exp of them would overflow.
    constexpr size_t kKeys = 150;
    Tape tape(context, Tape::Mode::forward);
    std::vector<float> key(kKeys, -90), value(kKeys, 2);
    key[137] = 90, value[137] = 1;
    const Variable y =
        multi_head_attention(tape, Tensor::from_host<float>(context, {1, 1, 1}, std::vector<float>{1000}),
                             Tensor::from_host<float>(context, {1, kKeys, 1}, key),
                             Tensor::from_host<float>(context, {1, kKeys, 1}, value), 1);
    EXPECT_EQ(y.value.to_host<float>(context), (std::vector<float>{1}));
  });
}

TEST(MultiHeadAttention, CountsItsMultiplyAddsAndKeepsNothingOfTheSquare) {
  PlanContext context;
  Tape tape(context);
  const Variable q = tape.input(Tensor::empty(context, {2, 1000, 256}));
  const Tensor k = Tensor::empty(context, {2, 3000, 256}), v = Tensor::empty(context, {2, 3000, 256});
  multi_head_attention(tape, q, k, v, 8);
  EXPECT_EQ(tape.costs()[0].macs, int64_t{2} * 2 * 1000 * 3000 * 256);
  // q, y; k, v; a number for each query and head.
  EXPECT_EQ(tape.saved_bytes(), 4u * (2 * 2 * 1000 * 256 + 2 * 2 * 3000 * 256 + 2 * 8 * 1000));
}

struct Results {
  std::vector<float> y, dquery, dkey, dvalue;
};

// Gradients of the inputs named, those of the others stay empty.
Results run(Context& context, const MultiHeadAttentionCase& of, bool query, bool key, bool value) {
  Tape tape(context);
  const auto upload = [&](const OpInput& input) {
    return Tensor::from_host<float>(context, input.shape, std::vector<float>(input.values.begin(), input.values.end()));
  };
  std::vector<Variable> in;
  const bool wanted[] = {query, key, value};
  for (size_t i = 0; const OpInput& input : inputs(of)) {
    in.push_back(wanted[i++] ? tape.input(upload(input)) : Variable(upload(input)));
  }
  const Variable y = op_of(of)(tape, in);
  tape.backward(y, upload(random_input(y.shape(), 999)));
  const auto gradient = [&](size_t i) {
    return wanted[i] ? tape.gradient(in[i]).to_host<float>(context) : std::vector<float>{};
  };
  return {y.value.to_host<float>(context), gradient(0), gradient(1), gradient(2)};
}

TEST(MultiHeadAttention, GradientsNobodyWantsAreLeftOut) {
  for (const MultiHeadAttentionCase& of : {MultiHeadAttentionCase{2, 21, 34, 12, 2}, {1, 3, 4, 130, 1}}) {
    for_each_backend([&](Context& context) {
      const Results all = run(context, of, true, true, true);
      EXPECT_EQ(run(context, of, true, false, false).dquery, all.dquery);
      EXPECT_EQ(run(context, of, false, true, false).dkey, all.dkey);
      EXPECT_EQ(run(context, of, false, false, true).dvalue, all.dvalue);
    });
  }
}

TEST(MultiHeadAttention, RunsInThePrecisionOfTheContext) {
  const MultiHeadAttentionCase of{1, 20, 30, 32, 2};
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    const std::vector<OpInput> in = inputs(of);
    std::vector<Tensor> tensors;
    for (const OpInput& input : in) {
      tensors.push_back(
          Tensor::from_host<float>(context, input.shape, std::vector<float>(input.values.begin(), input.values.end())));
    }
    std::vector<std::vector<float>> seen;
    for (const ConvMath math : {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16}) {
      Tensor y = Tensor::empty(context, in[0].shape);
      dispatch(context, [&](auto& backend) {
        multi_head_attention_forward(backend, {{of.sequences, of.queries, of.keys, of.channels, of.heads},
                                               tensors[0].data<float>(),
                                               tensors[1].data<float>(),
                                               tensors[2].data<float>(),
                                               y.data<float>(),
                                               nullptr,
                                               math});
      });
      set_precision(context, math);
      const Results results = run(context, of, true, true, true);
      EXPECT_EQ(results.y, y.to_host<float>(context)) << precision_name(math);
      // Every precision is one of its own, and gradients come in it.
      for (const std::vector<float>& other : seen) EXPECT_NE(results.y, other) << precision_name(math);
      for (size_t i = 0; i < results.dquery.size(); ++i) ASSERT_TRUE(std::isfinite(results.dquery[i]));
      seen.push_back(results.y);
    }
    set_precision(context, ConvMath::fp32);
  });
}

TEST(MultiHeadAttention, DoesNotDependOnTheNumberOfThreads) {
  const MultiHeadAttentionCase of{2, 150, 131, 48, 3};
  expect_same_bits_for_any_threads("multi_head_attention", inputs(of), op_of(of));
}

TEST(MultiHeadAttention, RefusesShapesThatDoNotFit) {
  PlanContext context;
  Tape tape(context);
  const auto refused = [&](const Shape& query, const Shape& key, const Shape& value, int heads) {
    EXPECT_THROW(multi_head_attention(tape, Tensor::empty(context, query), Tensor::empty(context, key),
                                      Tensor::empty(context, value), heads),
                 Error);
  };
  refused({1, 2, 6}, {1, 3, 6}, {1, 3, 6}, 4);
  refused({1, 2, 6}, {1, 3, 6}, {1, 2, 6}, 2);
  refused({1, 2, 6}, {2, 3, 6}, {2, 3, 6}, 2);
  refused({1, 2, 6}, {1, 3, 8}, {1, 3, 8}, 2);
  refused({1, 2, 6}, {1, 0, 6}, {1, 0, 6}, 2);
  refused({2, 6}, {3, 6}, {3, 6}, 2);
}

}  // namespace
}  // namespace tessera
