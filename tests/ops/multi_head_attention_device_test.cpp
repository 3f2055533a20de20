// Attention in every precision. The oracle works on operands rounded as the kernels round them. What is left is bounded
// for any order of summation, with e = 2^-24: a score errs by (channels + 4) e sum |q k| / sqrt(channels), the argument
// of an exponential by a few e more of its size, and exp turns what its argument errs by into a share of P; where P and
// dS are rounded for a product, half a unit of the precision joins that share; sums add e per term.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "kernels/multi_head_attention.h"
#include "tests/ops/conv2d_problem.h"
#include "tests/reference/multi_head_attention.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::AttentionRow;
using reference::MultiHeadAttentionCase;

constexpr double kUnit = 0x1p-24;
constexpr double kLeast = 0x1p-126;  // what is smaller may be lost

double half_unit(ConvMath math) {
  if (math == ConvMath::fp32) return 0;
  return math == ConvMath::bf16 ? 0x1p-8 : 0x1p-11;
}

// What devices run a call in.
ConvMath math_of(ConvMath math, const MultiHeadAttentionCase& of, bool gradient) {
  if (of.width() > 128) return ConvMath::fp32;
  if (of.width() < 8 && math != ConvMath::fp32) return ConvMath::tf32;
  if (math != ConvMath::fp16 && math != ConvMath::fp16_accumulate_chunked) return math;
  return gradient ? ConvMath::tf32 : ConvMath::fp16;
}

struct Bounded {
  Values expected, bound;
  explicit Bounded(size_t count) : expected(count), bound(count) {}
  void add(size_t at, double value, double error) {
    expected[at] += value;
    bound[at] += error;
  }
};

void expect_bounded(const std::string& where, const Tensor& computed, Context& context, const Bounded& of) {
  expect_near(where, computed.to_host<float>(context), of.expected, of.bound, 1.0);
}

// Operands as a precision rounds them, and of every query and head the softmax and the share that P may be wrong by.
struct AttentionProblem {
  MultiHeadAttentionCase of;
  ConvMath math;
  Values query, key, value, dy;

  AttentionProblem(const MultiHeadAttentionCase& case_, ConvMath math_, double deviation)
      : of(case_),
        math(math_),
        query(rounded(math, input(of.queries, 1, deviation))),
        key(rounded(math, input(of.keys, 2, deviation))),
        value(rounded(math, input(of.keys, 3, 1))),
        dy(rounded(math, input(of.queries, 4, 1))) {}

  Values input(int64_t rows, uint64_t sample, double deviation) const {
    return random_input({of.sequences * rows * of.channels}, sample, deviation).values;
  }

  template <typename Use>
  void for_each_row(Use&& use) const {
    const auto width = static_cast<double>(of.width());
    for (int64_t n = 0; n < of.sequences; ++n) {
      for (int64_t head = 0; head < of.heads; ++head) {
        for (int64_t i = 0; i < of.queries; ++i) {
          const AttentionRow row = attention_row(of, query, key, n, i, head);
          double products = 0, largest = std::abs(row.log_sum);
          for (int64_t j = 0; j < of.keys; ++j) {
            double sum = 0;
            for (int64_t e = 0; e < of.width(); ++e) {
              sum += std::abs(query[of.query_at(n, i, head, e)] * key[of.key_at(n, j, head, e)]);
            }
            products = std::max(products, sum);
            largest = std::max(largest, std::abs(row.score[static_cast<size_t>(j)]));
          }
          const double argument = 2 * (width + 4) * kUnit * products / std::sqrt(width) + 16 * kUnit * largest;
          use(n, head, i, row, argument, std::expm1(argument) + static_cast<double>(4 * of.keys + 32) * kUnit);
        }
      }
    }
  }

  MultiHeadAttentionShape shape() const { return {of.sequences, of.queries, of.keys, of.channels, of.heads}; }
};

std::string name_of(const MultiHeadAttentionCase& of, ConvMath math) {
  return fmt::format("{}: {} to {}, {} heads of {}", precision_name(math), of.queries, of.keys, of.heads, of.width());
}

void check_forward(const MultiHeadAttentionCase& of, ConvMath math, double deviation) {
  const AttentionProblem problem(of, math_of(math, of, false), deviation);
  Bounded y(problem.query.size()), log_sum(static_cast<size_t>(of.sequences * of.heads * of.queries));
  problem.for_each_row([&](int64_t n, int64_t head, int64_t i, const AttentionRow& row, double argument, double share) {
    const auto at = static_cast<size_t>((n * of.heads + head) * of.queries + i);
    log_sum.add(at, row.log_sum, argument + share);
    for (int64_t j = 0; j < of.keys; ++j) {
      const double p = row.probability[static_cast<size_t>(j)];
      // Half loses more of what is below 2^-14.
      const double error =
          p * (share + half_unit(problem.math)) * 1.01 + (problem.math == ConvMath::fp16 ? 0x1p-25 : 0);
      for (int64_t e = 0; e < of.width(); ++e) {
        const double value = problem.value[of.key_at(n, j, head, e)];
        y.add(of.query_at(n, i, head, e), p * value, error * std::abs(value));
      }
    }
  });
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu && math != ConvMath::fp32) return;
    // The kernel rounds.
    const Tensor query = upload(context, problem.input(of.queries, 1, deviation)),
                 key = upload(context, problem.input(of.keys, 2, deviation)),
                 value = upload(context, problem.input(of.keys, 3, 1));
    Tensor to_y = Tensor::empty(context, query.shape()),
           to_log_sum = Tensor::empty(context, {static_cast<int64_t>(log_sum.bound.size())});
    dispatch(context, [&](auto& backend) {
      multi_head_attention_forward(backend, {problem.shape(), query.data<float>(), key.data<float>(),
                                             value.data<float>(), to_y.data<float>(), to_log_sum.data<float>(), math});
    });
    expect_bounded("y " + name_of(of, math), to_y, context, y);
    expect_bounded("log_sum " + name_of(of, math), to_log_sum, context, log_sum);
  });
}

// From y and log_sum of the oracle.
void check_backward(const MultiHeadAttentionCase& of, ConvMath math, double deviation) {
  const AttentionProblem problem(of, math_of(math, of, true), deviation);
  const Values y = reference::multi_head_attention(of, problem.query, problem.key, problem.value);
  const double width = static_cast<double>(of.width()), scale = 1 / std::sqrt(width), unit = half_unit(problem.math);
  Values log_sums;
  Bounded dquery(problem.query.size()), dkey(problem.key.size()), dvalue(problem.key.size());
  const auto terms = static_cast<double>(std::max(of.queries, of.keys) + 8) * kUnit;
  problem.for_each_row([&](int64_t n, int64_t head, int64_t i, const AttentionRow& row, double, double share) {
    log_sums.push_back(row.log_sum);
    double product = 0, size = 0;
    for (int64_t e = 0; e < of.width(); ++e) {
      const size_t at = of.query_at(n, i, head, e);
      product += problem.dy[at] * y[at];
      size += std::abs(problem.dy[at] * y[at]);
    }
    for (int64_t j = 0; j < of.keys; ++j) {
      const double p = row.probability[static_cast<size_t>(j)];
      double dp = 0, dp_size = 0;
      for (int64_t e = 0; e < of.width(); ++e) {
        const double term = problem.dy[of.query_at(n, i, head, e)] * problem.value[of.key_at(n, j, head, e)];
        dp += term;
        dp_size += std::abs(term);
      }
      const double ds = p * (dp - product) * scale;
      const double error = std::abs(ds) * (share + unit + terms) * 1.01 +
                           scale * (p * (1 + share) * (width + 8) * kUnit + kLeast) * (dp_size + size + 1);
      for (int64_t e = 0; e < of.width(); ++e) {
        const size_t at_query = of.query_at(n, i, head, e), at_key = of.key_at(n, j, head, e);
        dquery.add(at_query, ds * problem.key[at_key], error * std::abs(problem.key[at_key]));
        dkey.add(at_key, ds * problem.query[at_query], error * std::abs(problem.query[at_query]));
        dvalue.add(at_key, p * problem.dy[at_query],
                   (p * (share + unit + terms) * 1.01 + kLeast) * std::abs(problem.dy[at_query]));
      }
    }
  });
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu && math != ConvMath::fp32) return;
    const Tensor query = upload(context, problem.input(of.queries, 1, deviation)),
                 key = upload(context, problem.input(of.keys, 2, deviation)),
                 value = upload(context, problem.input(of.keys, 3, 1)),
                 dy = upload(context, problem.input(of.queries, 4, 1)), on_y = upload(context, y),
                 log_sum = upload(context, log_sums);
    Tensor to_dquery = Tensor::empty(context, query.shape()), to_dkey = Tensor::empty(context, key.shape()),
           to_dvalue = Tensor::empty(context, key.shape());
    dispatch(context, [&](auto& backend) {
      multi_head_attention_backward(
          backend, {problem.shape(), query.data<float>(), key.data<float>(), value.data<float>(), on_y.data<float>(),
                    log_sum.data<float>(), dy.data<float>(), to_dquery.data<float>(), to_dkey.data<float>(),
                    to_dvalue.data<float>(), math});
    });
    expect_bounded("dquery " + name_of(of, math), to_dquery, context, dquery);
    expect_bounded("dkey " + name_of(of, math), to_dkey, context, dkey);
    expect_bounded("dvalue " + name_of(of, math), to_dvalue, context, dvalue);
  });
}

void check_in_every_precision(const MultiHeadAttentionCase& of, double deviation = 1.0) {
  for (const ConvMath math : {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16}) {
    check_forward(of, math, deviation);
    check_backward(of, math, deviation);
  }
}

// Small enough for the race checker, which runs no other of these: several tiles of both sides, padded heads, and heads
// that are wider than a tile.
TEST(MultiHeadAttentionDevice, SmallSequencesInEveryPrecision) {
  check_in_every_precision({1, 18, 35, 66, 1});
  check_in_every_precision({2, 2, 3, 130, 1});
  check_forward({1, 3, 2, 8, 1}, ConvMath::fp16_accumulate_chunked, 1.0);
  check_backward({1, 3, 2, 8, 1}, ConvMath::fp16_accumulate_chunked, 1.0);
}

TEST(MultiHeadAttentionDevice, LengthsAroundTilesInEveryPrecision) {
  for (const int64_t length : {1, 2, 63, 64, 65, 127, 129}) check_in_every_precision({1, length, length, 16, 1});
  check_in_every_precision({1, 129, 1, 16, 2});
  check_in_every_precision({2, 65, 129, 64, 2});
  check_in_every_precision({1, 200, 33, 128, 2});
  check_in_every_precision({1, 33, 200, 64, 1});
}

TEST(MultiHeadAttentionDevice, HeadsOfAnyWidthInEveryPrecision) {
  for (const int64_t width : {5, 8, 9, 16, 24, 32, 33, 64, 66, 128})
    check_in_every_precision({1, 37, 41, 2 * width, 2});
}

TEST(MultiHeadAttentionDevice, ScoresInTheHundredsInEveryPrecision) {
  for (const int64_t width : {16, 64, 128}) check_in_every_precision({1, 66, 70, width, 1}, 12.0);
}

}  // namespace
}  // namespace tessera
