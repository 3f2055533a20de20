// Layers: what they declare, and that fused and separate forms of a convolution with its norm agree.
#include "layers/conv2d.h"

#include <gtest/gtest.h>

#include "engine/core/rng.h"
#include "engine/ops/add.h"
#include "engine/ops/channel_affine.h"
#include "engine/ops/relu.h"
#include "layers/conv_tower.h"
#include "layers/linear.h"

namespace tessera {
namespace {

class Layers : public ::testing::Test {
 protected:
  Tensor random(const Shape& shape, uint64_t sample) {
    Rng rng(1, RandomPurpose::test, 0, sample);
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    for (float& value : values) value = rng.normal();
    return Tensor::from_host<float>(context_, shape, values);
  }
  // Random values for every parameter; variances positive.
  void randomize(const ParameterStore& store) {
    uint64_t sample = 100;
    for (const Parameter& parameter : store.parameters()) {
      std::vector<float> values = random(parameter.shape, sample++).to_host<float>(context_);
      for (float& value : values) {
        if (parameter.name.ends_with("running_var")) value = 0.5f + value * value;
      }
      parameter.value.copy_from_host(context_, values.data());
    }
  }
  void expect_equal(const Variable& a, const Variable& b, double tolerance = 1e-4) {
    ASSERT_EQ(a.shape(), b.shape());
    const std::vector<float> x = a.value.to_host<float>(context_), y = b.value.to_host<float>(context_);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], tolerance) << i;
  }
  std::vector<std::string> names(const ParameterStore& store) {
    std::vector<std::string> all;
    for (const Parameter& parameter : store.parameters()) all.push_back(parameter.name);
    return all;
  }

  CpuContext context_{1};
};

TEST_F(Layers, ParametersOfAConvolution) {
  const auto declared = [&](NormKind kind) {
    ParameterStore store;
    Conv2d(ParameterScope(store, "c"),
           {.in = 8, .out = 16, .window = 3, .groups = 2, .norm = {.kind = kind, .groups = 4}});
    EXPECT_EQ(store.find("c.weight")->shape, Shape({16, 3, 3, 4}));
    return names(store);
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(declared(NormKind::none), (Names{"c.weight", "c.bias"}));
  EXPECT_EQ(declared(NormKind::gn), (Names{"c.weight", "c.norm.weight", "c.norm.bias"}));
  for (const NormKind kind : {NormKind::bn, NormKind::frozen_bn}) {
    EXPECT_EQ(declared(kind),
              (Names{"c.weight", "c.norm.weight", "c.norm.bias", "c.norm.running_mean", "c.norm.running_var"}));
  }
}

TEST_F(Layers, NormResidualAndReluInEveryCombination) {
  for (const NormKind kind : {NormKind::none, NormKind::frozen_bn, NormKind::bn, NormKind::gn}) {
    for (const bool recording : {false, true}) {
      ParameterStore store;
      const Conv2d layer(ParameterScope(store, "c"),
                         {.in = 6, .out = 8, .window = 3, .stride = 2, .norm = {.kind = kind, .groups = 4}});
      store.allocate(context_, 1, true);
      randomize(store);
      const Variable x = random({2, 7, 9, 6}, 1), residual = random({2, 4, 5, 8}, 2);
      const auto value = [&](const char* name) { return Variable(store.find(name)->value); };

      // The parts one by one.
      Tape tape(context_, Tape::Mode::forward);
      Conv2dInputs inputs;
      inputs.x = x;
      inputs.weight = value("c.weight");
      if (kind == NormKind::none) inputs.bias = value("c.bias");
      Variable expected = conv2d(tape, inputs, {.stride = 2, .padding = 1});
      if (kind == NormKind::gn) {
        expected = group_norm(tape, expected, value("c.norm.weight"), value("c.norm.bias"), {.groups = 4});
      } else if (kind == NormKind::bn && recording) {
        expected = batch_norm(tape, expected, value("c.norm.weight"), value("c.norm.bias"), {}, {});
      } else if (kind != NormKind::none) {
        const AffineTensors affine =
            frozen_batch_norm_affine(context_, value("c.norm.weight").value, value("c.norm.bias").value,
                                     value("c.norm.running_mean").value, value("c.norm.running_var").value, 1e-5f);
        expected = channel_affine(tape, expected, affine.scale, affine.shift, false);
      }

      Tape own(context_, recording ? Tape::Mode::record : Tape::Mode::forward);
      expect_equal(layer.forward(own, x), expected);
      expect_equal(layer.forward(own, x, true), relu(tape, expected));
      expect_equal(layer.forward(own, x, false, residual), add(tape, expected, residual));
      expect_equal(layer.forward(own, x, true, residual), add(tape, expected, residual, {.relu = true}));
    }
  }
}

TEST_F(Layers, BatchNormMovesRunningStatisticsInTrainingOnly) {
  ParameterStore store;
  const Conv2d layer(ParameterScope(store, "c"), {.in = 2, .out = 3, .norm = {.kind = NormKind::bn}});
  store.allocate(context_, 1, true);
  const Tensor mean = store.find("c.norm.running_mean")->value;
  Tape inference(context_, Tape::Mode::forward);
  layer.forward(inference, random({2, 4, 4, 2}, 1));
  EXPECT_EQ(mean.to_host<float>(context_), std::vector<float>(3, 0.0f));
  Tape training(context_);
  layer.forward(training, random({2, 4, 4, 2}, 1));
  EXPECT_NE(mean.to_host<float>(context_), std::vector<float>(3, 0.0f));
}

TEST_F(Layers, FrozenBatchNormStartsAsTheIdentity) {
  for (const float epsilon : {1e-5f, 0.0f}) {
    ParameterStore store;
    const FrozenBatchNorm norm(ParameterScope(store, "n"), 4, epsilon);
    store.allocate(context_, 1, false);
    const AffineTensors affine = norm.affine(context_);
    for (const float scale : affine.scale.to_host<float>(context_)) EXPECT_NEAR(scale, 1, 1e-6);
    EXPECT_EQ(affine.shift.to_host<float>(context_), std::vector<float>(4, 0.0f));
  }
}

TEST_F(Layers, TowerOnAPyramidEqualsTheTowerOnEachLevel) {
  ParameterStore store;
  const ConvTower tower(ParameterScope(store, "t"), 8, 2, 4);
  EXPECT_EQ(names(store), (std::vector<std::string>{"t.0.weight", "t.0.bias", "t.1.weight", "t.1.bias", "t.3.weight",
                                                    "t.3.bias", "t.4.weight", "t.4.bias"}));
  store.allocate(context_, 1, false);
  randomize(store);
  Pyramid pyramid;
  pyramid.geometry = PyramidGeometry(2);
  pyramid.geometry.add_level(5, 6, 8);
  pyramid.geometry.add_level(3, 3, 16);
  pyramid.geometry.add_level(1, 2, 32);
  pyramid.rows = random({pyramid.geometry.rows(), 8}, 1);
  Tape tape(context_, Tape::Mode::forward);
  const Pyramid together = tower.forward(tape, pyramid);
  const auto value = [&](const char* name) { return Variable(store.find(name)->value); };
  for (int64_t level = 0; level < 3; ++level) {
    Variable x = pyramid.geometry.level_view(pyramid.rows.value, level);
    for (const char* prefix : {"t.0", "t.3"}) {
      const std::string conv = prefix, norm = conv == "t.0" ? "t.1" : "t.4";
      Conv2dInputs inputs;
      inputs.x = x;
      inputs.weight = value((conv + ".weight").c_str());
      inputs.bias = value((conv + ".bias").c_str());
      x = group_norm(tape, conv2d(tape, inputs, {.padding = 1}), value((norm + ".weight").c_str()),
                     value((norm + ".bias").c_str()), {.groups = 4, .relu = true});
    }
    expect_equal(pyramid.geometry.level_view(together.rows.value, level), x);
  }
}

TEST_F(Layers, LinearHasWeightAndBias) {
  ParameterStore store;
  const Linear layer(ParameterScope(store, "l"), 3, 2);
  store.allocate(context_, 1, false);
  const float weight[] = {1, 2, 3, -1, 0, 1}, bias[] = {10, 20}, x[] = {1, 1, 2};
  store.find("l.weight")->value.copy_from_host(context_, weight);
  store.find("l.bias")->value.copy_from_host(context_, bias);
  Tape tape(context_, Tape::Mode::forward);
  const Variable y = layer.forward(tape, Tensor::from_host<float>(context_, {1, 3}, x));
  EXPECT_EQ(y.value.to_host<float>(context_), (std::vector<float>{19, 21}));
}

TEST_F(Layers, RefusesWhatDoesNotDivide) {
  ParameterStore store;
  EXPECT_THROW(Conv2d(ParameterScope(store, "a"), {.in = 6, .out = 8, .groups = 4}), Error);
  EXPECT_THROW(Conv2d(ParameterScope(store, "b"), {.in = 6, .out = 6, .norm = {.kind = NormKind::gn, .groups = 4}}),
               Error);
}

}  // namespace
}  // namespace tessera
