// A small model of three kinds of parameters and gradients that are a function of values and iteration: enough to train
// in microseconds.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/autograd/parameter_store.h"

namespace tessera::testing_support {

inline std::unique_ptr<ParameterStore> toy_store(Context& context, uint64_t seed = 1, int64_t classes = 3) {
  auto store = std::make_unique<ParameterStore>();
  store->declare("head.conv.weight", {classes, 3, 3, 5}, ParameterRole::weight, Initializer::normal(0.1f));
  store->declare("stem.norm.weight", {7}, ParameterRole::frozen_affine, Initializer::ones());
  store->declare("head.norm.weight", {20}, ParameterRole::norm_affine, Initializer::ones());
  store->declare("head.conv.bias", {classes}, ParameterRole::bias, Initializer::constant(0.5f));
  store->declare("stem.norm.running_mean", {7}, ParameterRole::statistic, Initializer::zeros());
  store->allocate(context, seed, true);
  return store;
}

inline void set_toy_gradients(Context& context, const ParameterStore& store, int64_t iteration) {
  for (const Parameter& parameter : store.parameters()) {
    if (!parameter.gradient.defined()) continue;
    std::vector<float> values = parameter.value.to_host<float>(context);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = std::sin(3.0f * values[i] + 0.1f * static_cast<float>(iteration) + static_cast<float>(i));
    }
    parameter.gradient.copy_from_host(context, values.data());
  }
}

}  // namespace tessera::testing_support
