#include "engine/autograd/parameter_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tessera {
namespace {

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

Moments moments_of(const std::vector<float>& values) {
  Moments moments;
  const double count = static_cast<double>(values.size());
  for (const float value : values) {
    moments.mean += value / count;
    moments.largest = std::max(moments.largest, std::abs(static_cast<double>(value)));
  }
  for (const float value : values) moments.deviation += (value - moments.mean) * (value - moments.mean) / count;
  moments.deviation = std::sqrt(moments.deviation);
  return moments;
}

TEST(ParameterStore, InitialisersHaveTheirDistributions) {
  CpuContext context(1);
  ParameterStore store;
  const Shape shape{64, 3, 3, 32};
  Parameter& fan_out = store.declare("fan_out", shape, ParameterRole::weight, Initializer::kaiming_normal());
  Parameter& uniform = store.declare("uniform", shape, ParameterRole::weight, Initializer::kaiming_uniform());
  Parameter& normal = store.declare("normal", shape, ParameterRole::weight, Initializer::normal(0.01f));
  Parameter& prior = store.declare("prior", {80}, ParameterRole::bias, Initializer::constant(-4.5951f));
  store.allocate(context, 3, false);
  const Moments of_fan_out = moments_of(fan_out.value.to_host<float>(context));
  EXPECT_NEAR(of_fan_out.deviation, std::sqrt(2.0 / (64 * 9)), 0.002);
  EXPECT_NEAR(of_fan_out.mean, 0, 0.002);
  const double bound = std::sqrt(3.0 / (32 * 9));
  const Moments of_uniform = moments_of(uniform.value.to_host<float>(context));
  EXPECT_LE(of_uniform.largest, bound);
  EXPECT_NEAR(of_uniform.largest, bound, 1e-3);
  EXPECT_NEAR(of_uniform.deviation, bound / std::sqrt(3.0), 0.002);
  EXPECT_NEAR(moments_of(normal.value.to_host<float>(context)).deviation, 0.01, 3e-4);
  EXPECT_EQ(prior.value.to_host<float>(context), std::vector<float>(80, -4.5951f));
}

TEST(ParameterStore, ValuesDependOnSeedAndNameAlone) {
  CpuContext context(1);
  const auto values = [&](uint64_t seed, bool another_before) {
    ParameterStore store;
    if (another_before) store.declare("first", {7}, ParameterRole::weight, Initializer::normal(1));
    Parameter& parameter = store.declare("w", {4, 5}, ParameterRole::weight, Initializer::normal(1));
    store.allocate(context, seed, false);
    return parameter.value.to_host<float>(context);
  };
  EXPECT_EQ(values(1, false), values(1, true));
  EXPECT_NE(values(1, false), values(2, false));
}

TEST(ParameterStore, UniformInitializersFillTheirRange) {
  CpuContext context(1);
  ParameterStore store;
  const std::pair<const Parameter*, float> cases[] = {
      {&store.declare("u", {2000}, ParameterRole::bias, Initializer::uniform(0.25f)), 0.25f},
      {&store.declare("f", {30, 3, 3, 16}, ParameterRole::weight, Initializer::uniform_fan_in()), 1.0f / 12},
      {&store.declare("l", {200, 25}, ParameterRole::weight, Initializer::uniform_fan_in()), 0.2f},
      {&store.declare("x", {30, 3, 3, 24}, ParameterRole::weight, Initializer::xavier_uniform()),
       std::sqrt(6.0f / (9 * 54))}};
  store.allocate(context, 1, false);
  for (const auto& [parameter, bound] : cases) {
    const std::vector<float> values = parameter->value.to_host<float>(context);
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    EXPECT_GE(*least, -bound);
    EXPECT_LE(*most, bound);
    EXPECT_LT(*least, -0.98f * bound) << parameter->name;
    EXPECT_GT(*most, 0.98f * bound) << parameter->name;
  }
}

TEST(ParameterStore, TrainableParametersComeFirstInOneRange) {
  CpuContext context(1);
  ParameterStore store;
  Parameter& frozen = store.declare("scale", {3}, ParameterRole::frozen_affine, Initializer::ones());
  Parameter& first = store.declare("a", {5}, ParameterRole::weight, Initializer::constant(2));
  Parameter& mean = store.declare("mean", {3}, ParameterRole::statistic, Initializer::zeros());
  Parameter& second = store.declare("b", {17}, ParameterRole::norm_affine, Initializer::constant(3));
  store.allocate(context, 1, true);
  EXPECT_EQ(store.trainable_elements(), 16 + 32);  // padded to 64 bytes each
  EXPECT_EQ(store.gradients().elements(), store.trainable_elements());
  const float* base = store.values().data<float>();
  EXPECT_EQ(first.value.data<float>(), base);
  EXPECT_EQ(second.value.data<float>(), base + 16);
  EXPECT_GE(frozen.value.data<float>(), base + 48);
  EXPECT_EQ(second.gradient.data<float>(), store.gradients().data<float>() + 16);
  EXPECT_EQ(store.momentum_of(second).data<float>(), store.momentum().data<float>() + 16);
  EXPECT_EQ(store.momentum_of(second).shape(), second.shape);
  EXPECT_FALSE(frozen.gradient.defined());
  EXPECT_FALSE(mean.gradient.defined());
  // The padding is zero, so sums over the whole range are sums over the parameters.
  const std::vector<float> all = store.values().to_host<float>(context);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0.0), 5 * 2 + 17 * 3 + 3 * 1);
  EXPECT_THROW(store.momentum_of(frozen), Error);
}

TEST(ParameterStore, CountsLearnedAndFrozenAffineButNoStatistics) {
  ParameterStore store;
  store.declare("backbone.conv.weight", {8, 3, 3, 4}, ParameterRole::weight, Initializer::zeros()).trainable = false;
  store.declare("backbone.norm.weight", {8}, ParameterRole::frozen_affine, Initializer::ones());
  store.declare("backbone.norm.mean", {8}, ParameterRole::statistic, Initializer::zeros());
  store.declare("head.bias", {5}, ParameterRole::bias, Initializer::zeros());
  EXPECT_EQ(store.count(), 8 * 36 + 8 + 5);
  EXPECT_EQ(store.count("backbone."), 8 * 36 + 8);
  EXPECT_EQ(store.count("neck."), 0);
}

TEST(ParameterStore, WeightsAndBiasesDecayNormsDoNot) {
  ParameterStore store;
  EXPECT_TRUE(store.declare("w", {1}, ParameterRole::weight, Initializer::zeros()).decayed());
  EXPECT_TRUE(store.declare("b", {1}, ParameterRole::bias, Initializer::zeros()).decayed());
  EXPECT_FALSE(store.declare("n", {1}, ParameterRole::norm_affine, Initializer::ones()).decayed());
}

TEST(ParameterStore, RefusesWhatWouldMixUpParameters) {
  CpuContext context(1);
  ParameterStore store;
  store.declare("w", {1}, ParameterRole::weight, Initializer::zeros());
  EXPECT_THROW(store.declare("w", {2}, ParameterRole::weight, Initializer::zeros()), Error);
  store.allocate(context, 1, true);
  EXPECT_THROW(store.declare("late", {1}, ParameterRole::weight, Initializer::zeros()), Error);
  EXPECT_THROW(store.allocate(context, 1, true), Error);
  EXPECT_EQ(store.find("unknown"), nullptr);
  EXPECT_EQ(store.find("w")->name, "w");
}

TEST(ParameterStore, ClearsGradients) {
  CpuContext context(1);
  ParameterStore store;
  Parameter& parameter = store.declare("w", {2}, ParameterRole::weight, Initializer::zeros());
  store.allocate(context, 1, true);
  const std::vector<float> gradient = {3, 4};
  parameter.gradient.copy_from_host(context, gradient.data());
  store.zero_gradients(context);
  EXPECT_EQ(parameter.gradient.to_host<float>(context), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace tessera
