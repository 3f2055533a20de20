// Towers side by side: the numbers of each alone, and on a device the convolutions of one.
#include "layers/conv_tower.h"

#include <gtest/gtest.h>

#include <functional>

#include "engine/core/rng.h"
#include "engine/ops/concat.h"
#include "kernels/launch_graph.h"

namespace tessera {
namespace {

constexpr int kChannels = 16, kGroups = 4;

PyramidGeometry geometry() {
  PyramidGeometry geometry(2);
  geometry.add_level(9, 12, 8);
  geometry.add_level(4, 6, 16);
  geometry.add_level(1, 2, 32);
  return geometry;
}

Tensor random(Context& context, const Shape& shape, uint64_t sample) {
  Rng rng(7, RandomPurpose::test, 0, sample);
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  for (float& value : values) value = rng.normal();
  return Tensor::from_host<float>(context, shape, values);
}

// Towers with so many layers each.
struct Towers {
  ParameterStore store;
  std::vector<ConvTower> towers;

  Towers(Context& context, std::initializer_list<int> layers, bool training) {
    for (const int count : layers) {
      const std::string name = "t" + std::to_string(towers.size());
      towers.emplace_back(ParameterScope(store, name), kChannels, count, kGroups);
    }
    store.allocate(context, 1, training);
  }
  std::vector<Pyramid> together(Tape& tape, const Pyramid& x) const {
    std::vector<const ConvTower*> all;
    for (const ConvTower& tower : towers) all.push_back(&tower);
    return ConvTower::forward_together(tape, all, x);
  }
  std::vector<Pyramid> one_by_one(Tape& tape, const Pyramid& x) const {
    std::vector<Pyramid> y;
    for (const ConvTower& tower : towers) y.push_back(tower.forward(tape, x));
    return y;
  }
};

// Outputs, the gradient of x, gradients of all parameters.
std::vector<std::vector<float>> results_of(int threads, bool together) {
  CpuContext context(threads);
  const Towers towers(context, {3, 1, 2}, true);
  Tape tape(context);
  const Pyramid x{tape.input(random(context, {geometry().rows(), kChannels}, 1)), geometry()};
  std::vector<Variable> rows;
  for (const Pyramid& y : together ? towers.together(tape, x) : towers.one_by_one(tape, x)) rows.push_back(y.rows);
  const Variable y = concat_channels(tape, rows);
  std::vector<std::vector<float>> results{y.value.to_host<float>(context)};
  tape.backward(y, random(context, y.shape(), 2));
  results.push_back(tape.gradient(x.rows).to_host<float>(context));
  for (const Parameter& parameter : towers.store.parameters()) {
    results.push_back(parameter.gradient.to_host<float>(context));
  }
  return results;
}

TEST(ConvTower, TogetherAreTheTowersOneByOneToTheBitOnTheCpu) {
  const auto expected = results_of(1, false);
  for (const int threads : {1, 2, 3}) EXPECT_TRUE(results_of(threads, true) == expected) << threads << " threads";
}

// Of work that has run before, so all tables are on the device.
int64_t launches_of(EmulatedContext& context, const std::function<void()>& work) {
  work();
  context.begin_capture();
  work();
  return context.end_capture()->launches();
}

TEST(ConvTower, TogetherHaveTheConvolutionsOfOneOnADevice) {
  constexpr int kLayers = 3;
  EmulatedContext context;
  const Pyramid x{random(context, {geometry().rows(), kChannels}, 1), geometry()};
  const Tensor weight = random(context, {kChannels, 3, 3, kChannels}, 2), bias = random(context, {kChannels}, 3);
  RowMomentTensors moments;
  Pyramid y;
  const int64_t convolution = launches_of(context, [&] {
    Tape tape(context, Tape::Mode::forward);
    y = conv2d(tape, x, weight, bias, {.padding = 1}, &moments);
  });
  const int64_t norm = launches_of(context, [&] {
    Tape tape(context, Tape::Mode::forward);
    group_norm(tape, y, bias, bias, {.groups = kGroups, .relu = true}, {.moments = moments});
  });
  const auto launches = [&](std::initializer_list<int> layers) {
    const Towers towers(context, layers, false);
    return launches_of(context, [&] {
      Tape tape(context, Tape::Mode::forward);
      towers.together(tape, x);
    });
  };
  EXPECT_EQ(launches({kLayers}), kLayers * (convolution + norm));
  EXPECT_EQ(launches({kLayers, kLayers}), kLayers * (convolution + 2 * norm));
  EXPECT_EQ(launches({kLayers, kLayers, kLayers}), kLayers * (convolution + 3 * norm));
}

}  // namespace
}  // namespace tessera
