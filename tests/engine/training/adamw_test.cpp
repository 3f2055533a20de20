#include "engine/training/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/core/error.h"
#include "engine/training/checkpoint.h"
#include "engine/training/weights.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/engine/training/toy_store.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;
using testing_support::set_toy_gradients;
using testing_support::TemporaryFolder;
using testing_support::toy_store;

// torch.optim.AdamW (amsgrad off) and clip_grad_norm_ in double precision, written from their documented formulas.
struct DoubleAdamW {
  struct State {
    std::vector<double> value, first, second;
  };
  std::map<std::string, State> states;
  int steps = 0;

  void step(Context& context, const ParameterStore& store, const AdamWOptions& options, double rate) {
    ++steps;
    double squares = 0;
    for (const Parameter& parameter : store.parameters()) {
      if (!parameter.trainable) continue;
      for (const float g : parameter.gradient.to_host<float>(context)) squares += double{g} * g;
    }
    const double clip = options.clip_norm > 0 ? std::min(1.0, options.clip_norm / (std::sqrt(squares) + 1e-6)) : 1.0;
    for (const Parameter& parameter : store.parameters()) {
      if (!parameter.trainable) continue;
      State& state = states[parameter.name];
      const std::vector<float> gradient = parameter.gradient.to_host<float>(context);
      state.first.resize(gradient.size());
      state.second.resize(gradient.size());
      for (size_t i = 0; i < gradient.size(); ++i) {
        const double g = clip * gradient[i];
        if (parameter.role != ParameterRole::norm_affine)
          state.value[i] -= rate * options.weight_decay * state.value[i];
        state.first[i] = options.beta1 * state.first[i] + (1 - options.beta1) * g;
        state.second[i] = options.beta2 * state.second[i] + (1 - options.beta2) * g * g;
        const double mean = state.first[i] / (1 - std::pow(options.beta1, steps));
        const double square = state.second[i] / (1 - std::pow(options.beta2, steps));
        state.value[i] -= rate * mean / (std::sqrt(square) + options.epsilon);
      }
    }
  }
};

TEST(AdamW, AgreesWithDoublePrecision) {
  for_each_backend([](Context& context) {
    for (const double clip : {0.0, 1.5}) {
      const auto store = toy_store(context);
      const AdamWOptions options{.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.05, .clip_norm = clip};
      AdamW adamw(context, *store, options);
      DoubleAdamW oracle;
      for (const Parameter& parameter : store->parameters()) {
        const std::vector<float> values = parameter.value.to_host<float>(context);
        oracle.states[parameter.name].value.assign(values.begin(), values.end());
      }
      for (int64_t iteration = 0; iteration < 20; ++iteration) {
        set_toy_gradients(context, *store, iteration);
        const double rate = iteration < 10 ? 0.01 : 0.001;
        oracle.step(context, *store, options, rate);
        adamw.step(context, iteration, rate);
      }
      for (const Parameter& parameter : store->parameters()) {
        const std::vector<float> values = parameter.value.to_host<float>(context);
        for (size_t i = 0; i < values.size(); ++i) {
          EXPECT_NEAR(values[i], oracle.states[parameter.name].value[i], 5e-6) << parameter.name << " " << i;
        }
      }
    }
  });
}

// The first step is the learning rate in the direction of the sign, whatever the size of the gradient.
TEST(AdamW, FirstStepByHand) {
  for_each_backend([](Context& context) {
    ParameterStore store;
    const Parameter& weight = store.declare("w", {2}, ParameterRole::weight, Initializer::ones());
    const Parameter& norm = store.declare("n", {2}, ParameterRole::norm_affine, Initializer::ones());
    store.allocate(context, 1, true);
    AdamW adamw(context, store, {.weight_decay = 0.5});
    const std::vector<float> gradient = {1000.0f, -0.001f};
    for (const Parameter* parameter : {&weight, &norm}) parameter->gradient.copy_from_host(context, gradient.data());
    adamw.step(context, 0, 0.1);
    const std::vector<float> w = weight.value.to_host<float>(context), n = norm.value.to_host<float>(context);
    EXPECT_NEAR(w[0], 0.95f - 0.1f, 1e-5);
    EXPECT_NEAR(w[1], 0.95f + 0.1f, 1e-5);
    EXPECT_NEAR(n[0], 0.9f, 1e-5);
    EXPECT_NEAR(n[1], 1.1f, 1e-5);
  });
}

TEST(AdamW, ResumedRunIsTheStraightRun) {
  CpuContext context(2);
  const auto train = [&](ParameterStore& store, AdamW& adamw, int64_t begin, int64_t end) {
    for (int64_t iteration = begin; iteration < end; ++iteration) {
      set_toy_gradients(context, store, iteration);
      adamw.step(context, iteration, 0.01);
    }
  };
  const auto straight = toy_store(context);
  AdamW whole(context, *straight, {});
  train(*straight, whole, 0, 9);
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 1);
  {
    const auto store = toy_store(context);
    AdamW adamw(context, *store, {});
    train(*store, adamw, 0, 4);
    checkpoints.save(context, *store, 4, {});
  }
  const auto store = toy_store(context, 77);
  AdamW adamw(context, *store, {});
  const auto resumed = checkpoints.resume(context, *store, [](const std::string& text) { ADD_FAILURE() << text; });
  ASSERT_TRUE(resumed.has_value());
  train(*store, adamw, resumed->iterations, 9);
  EXPECT_EQ(weights_sha256(context, *store), weights_sha256(context, *straight));
  EXPECT_EQ(momentum_sha256(context, *store), momentum_sha256(context, *straight));
  // Without the second moment the checkpoint does not fit; as weights it does.
  const auto other = toy_store(context);
  EXPECT_THROW(load_weights_and_momentum(context, *other, SafetensorsFile(resumed->file)), Error);
  load_weights(context, *other, SafetensorsFile(resumed->file));
}

TEST(AdamW, SameBitsForAnyNumberOfThreads) {
  std::string weights, moments;
  for (const int threads : {1, 2, 3, 5}) {
    CpuContext context(threads);
    ParameterStore store;
    store.declare("big", {300, 1001}, ParameterRole::weight, Initializer::normal(1.0f));
    store.allocate(context, 3, true);
    AdamW adamw(context, store, {.clip_norm = 1.0});
    for (int64_t iteration = 0; iteration < 3; ++iteration) {
      set_toy_gradients(context, store, iteration);
      adamw.step(context, iteration, 0.1);
    }
    if (threads == 1) weights = weights_sha256(context, store), moments = momentum_sha256(context, store);
    EXPECT_EQ(weights_sha256(context, store), weights);
    EXPECT_EQ(momentum_sha256(context, store), moments);
  }
}

TEST(AdamW, ChangesNothingWhenAGradientIsNotFinite) {
  for_each_backend([](Context& context) {
    const auto store = toy_store(context);
    AdamW adamw(context, *store, {});
    set_toy_gradients(context, *store, 0);
    adamw.step(context, 0, 0.1);
    const std::string weights = weights_sha256(context, *store), moments = momentum_sha256(context, *store);
    const Parameter& bias = *store->find("head.conv.bias");
    const std::vector<float> bad = {0, NAN, 0};
    bias.gradient.copy_from_host(context, bad.data());
    EXPECT_THROW(adamw.step(context, 1, 0.1), Error);
    EXPECT_EQ(weights_sha256(context, *store), weights);
    EXPECT_EQ(momentum_sha256(context, *store), moments);
  });
}

}  // namespace
}  // namespace tessera
