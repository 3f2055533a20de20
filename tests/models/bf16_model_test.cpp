// A whole model whose convolutions compute in bf16 on the CPU: losses and gradients beside those of fp32.
//
// How far may they differ? Rounding to bf16 moves an operand by 2^-9 of it at most, by 2^-9 / sqrt(3) or less in the
// mean of squares. What that does to the end of the network is measured in fp32: every weight of a convolution is moved
// by 2^-9 up or down. Both operands are rounded, which is sqrt(2) times as much; sqrt(2) / sqrt(3) is below 1, and
// twice the difference that is measured is the bound.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/precision.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr int kProbes = 3;

struct Results {
  std::vector<std::string> names;
  std::vector<std::vector<float>> values;
};

// probe 0: weights as they are.
Results train(ConvMath math, uint64_t probe, int threads = 1) {
  CpuContext context(threads);
  set_precision(context, math);
  TinyModel tiny(context);
  Rng rng(7, RandomPurpose::test, 0, probe);
  for (const Parameter& parameter : tiny.store.parameters()) {
    if (probe == 0 || parameter.shape.rank() != 4) continue;
    std::vector<float> values = parameter.value.to_host<float>(context);
    for (float& value : values) value *= rng.uniform() < 0.5f ? 1 + 0x1p-9f : 1 - 0x1p-9f;
    parameter.value.copy_from_host(context, values.data());
  }
  Tape tape(context);
  const TrainingBatch batch =
      painted_batch(context, 64, 64,
                    {{ellipse({4, 6, 40, 50}, 0, 64, 64), ellipse({30, 20, 60, 60}, 1, 64, 64)},
                     {ellipse({20, 8, 60, 56}, 2, 64, 64), ellipse({4, 40, 14, 54}, 1, 64, 64)}});
  const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
  Results results;
  for (const NamedLoss& loss : losses) {
    results.names.push_back("loss " + loss.name);
    results.values.push_back(loss.value.value.to_host<float>(context));
  }
  tape.backward(total_of(tape, losses));
  for (const Parameter& parameter : tiny.store.parameters()) {
    if (!parameter.trainable) continue;
    results.names.push_back("gradient of " + parameter.name);
    results.values.push_back(parameter.gradient.to_host<float>(context));
  }
  return results;
}

double norm_of_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum);
}

TEST(Bf16Model, DiffersFromFp32AsRoundedOperandsDo) {
  const Results exact = train(ConvMath::fp32, 0), computed = train(ConvMath::bf16, 0);
  ASSERT_EQ(computed.names, exact.names);
  std::vector<double> bounds(exact.names.size(), 0);
  for (uint64_t probe = 1; probe <= kProbes; ++probe) {
    const Results moved = train(ConvMath::fp32, probe);
    for (size_t i = 0; i < bounds.size(); ++i) {
      bounds[i] = std::max(bounds[i], 2 * norm_of_difference(moved.values[i], exact.values[i]));
    }
  }
  for (size_t i = 0; i < bounds.size(); ++i) {
    const double difference = norm_of_difference(computed.values[i], exact.values[i]);
    EXPECT_LE(difference, bounds[i]) << exact.names[i];
    const bool loss = exact.names[i].starts_with("loss");  // a gradient may be zero
    EXPECT_TRUE(difference > 0 || !loss) << exact.names[i] << ": not computed in bf16";
  }
}

TEST(Bf16Model, SameBitsForAnyThreads) {
  const Results one = train(ConvMath::bf16, 0);
  for (const int threads : {2, 3}) EXPECT_EQ(train(ConvMath::bf16, 0, threads).values, one.values) << threads;
}

}  // namespace
}  // namespace tessera
