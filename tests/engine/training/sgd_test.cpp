#include "engine/training/sgd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/core/dispatch.h"
#include "engine/core/error.h"
#include "engine/training/weights.h"
#include "kernels/sum_of_squares.h"
#include "tests/engine/training/toy_store.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;
using testing_support::set_toy_gradients;
using testing_support::toy_store;

// torch.optim.SGD (dampening 0, no Nesterov, no maximize) and clip_grad_norm_ in double precision, written from their
// documented formulas.
struct DoubleSgd {
  std::map<std::string, std::vector<double>> value, momentum;

  double step(Context& context, const ParameterStore& store, const SgdOptions& options, double learning_rate) {
    std::map<std::string, std::vector<double>> gradients;
    double squares = 0;
    for (const Parameter& parameter : store.parameters()) {
      if (!parameter.trainable) continue;
      for (const float g : parameter.gradient.to_host<float>(context)) {
        gradients[parameter.name].push_back(g);
        squares += double{g} * g;
      }
    }
    const double norm = std::sqrt(squares);
    const double clip = options.clip_norm > 0 ? std::min(1.0, options.clip_norm / (norm + 1e-6)) : 1.0;
    for (const Parameter& parameter : store.parameters()) {
      if (!parameter.trainable) continue;
      auto& w = value[parameter.name];
      auto& v = momentum[parameter.name];
      v.resize(w.size());
      for (size_t i = 0; i < w.size(); ++i) {
        double g = clip * gradients[parameter.name][i];
        if (parameter.role != ParameterRole::norm_affine) g += options.weight_decay * w[i];
        v[i] = options.momentum * v[i] + g;
        w[i] -= learning_rate * v[i];
      }
    }
    return norm;
  }
};

TEST(Sgd, AgreesWithDoublePrecision) {
  for_each_backend([](Context& context) {
    for (const double clip : {0.0, 1.5, 1e6}) {
      const auto store = toy_store(context);
      const SgdOptions options{0.9, 0.05, clip};
      Sgd sgd(context, *store, options);
      DoubleSgd oracle;
      std::map<std::string, std::vector<float>> frozen;
      for (const Parameter& parameter : store->parameters()) {
        const std::vector<float> values = parameter.value.to_host<float>(context);
        oracle.value[parameter.name].assign(values.begin(), values.end());
        if (!parameter.trainable) frozen[parameter.name] = values;
      }
      for (int64_t iteration = 0; iteration < 20; ++iteration) {
        set_toy_gradients(context, *store, iteration);
        const double rate = iteration < 10 ? 0.1 : 0.01;
        const double expected_norm = oracle.step(context, *store, options, rate);
        EXPECT_NEAR(sgd.step(context, iteration, rate), expected_norm, 1e-12 * expected_norm);
      }
      for (const Parameter& parameter : store->parameters()) {
        const std::vector<float> values = parameter.value.to_host<float>(context);
        for (size_t i = 0; i < values.size(); ++i) {
          EXPECT_NEAR(values[i], oracle.value[parameter.name][i], 2e-6)
              << parameter.name << " " << i << " clip " << clip;
        }
        if (!parameter.trainable) {
          EXPECT_EQ(values, frozen[parameter.name]);
          continue;
        }
        const std::vector<float> momentum = store->momentum_of(parameter).to_host<float>(context);
        for (size_t i = 0; i < momentum.size(); ++i)
          EXPECT_NEAR(momentum[i], oracle.momentum[parameter.name][i], 1e-5) << parameter.name;
      }
    }
  });
}

// By hand: w 1, g 2, decay 0.5 -> v = 2.5, w = 1 - 0.1 * 2.5; then v = 0.9 * 2.5 + 2 + 0.375.
TEST(Sgd, TwoStepsByHand) {
  for_each_backend([](Context& context) {
    ParameterStore store;
    const Parameter& weight = store.declare("w", {1}, ParameterRole::weight, Initializer::ones());
    const Parameter& norm = store.declare("n", {1}, ParameterRole::norm_affine, Initializer::ones());
    store.allocate(context, 1, true);
    Sgd sgd(context, store, {0.9, 0.5, 0});
    const float two = 2;
    for (const Parameter* parameter : {&weight, &norm}) parameter->gradient.copy_from_host(context, &two);
    EXPECT_DOUBLE_EQ(sgd.step(context, 0, 0.1), std::sqrt(8.0));
    EXPECT_FLOAT_EQ(weight.value.to_host<float>(context)[0], 0.75f);
    EXPECT_FLOAT_EQ(norm.value.to_host<float>(context)[0], 0.8f);
    sgd.step(context, 1, 0.1);
    EXPECT_FLOAT_EQ(weight.value.to_host<float>(context)[0], 0.75f - 0.1f * 4.625f);
    EXPECT_FLOAT_EQ(norm.value.to_host<float>(context)[0], 0.8f - 0.1f * 3.8f);
  });
}

TEST(Sgd, SameBitsForAnyNumberOfThreads) {
  std::string weights, momentum;
  double norm = 0;
  for (const int threads : {1, 2, 3, 5}) {
    CpuContext context(threads);
    ParameterStore store;
    store.declare("big", {300, 1001}, ParameterRole::weight, Initializer::normal(1.0f));
    store.declare("affine", {77777}, ParameterRole::norm_affine, Initializer::normal(1.0f));
    store.allocate(context, 3, true);
    Sgd sgd(context, store, {0.9, 1e-2, 1.0});
    double last = 0;
    for (int64_t iteration = 0; iteration < 3; ++iteration) {
      set_toy_gradients(context, store, iteration);
      last = sgd.step(context, iteration, 0.1);
    }
    if (threads == 1) {
      weights = weights_sha256(context, store);
      momentum = momentum_sha256(context, store);
      norm = last;
    }
    EXPECT_EQ(weights_sha256(context, store), weights);
    EXPECT_EQ(momentum_sha256(context, store), momentum);
    EXPECT_EQ(last, norm);
  }
}

TEST(Sgd, PaddingBetweenParametersStaysZero) {
  for_each_backend([](Context& context) {
    const auto store = toy_store(context);
    Sgd sgd(context, *store, {0.9, 0.1, 0});
    for (int64_t iteration = 0; iteration < 5; ++iteration) {
      set_toy_gradients(context, *store, iteration);
      sgd.step(context, iteration, 0.1);
    }
    const std::vector<float> values = store->values().to_host<float>(context);
    double in_parameters = 0, in_buffer = 0;
    for (const float value : values) in_buffer += std::fabs(value);
    for (const Parameter& parameter : store->parameters())
      for (const float value : parameter.value.to_host<float>(context)) in_parameters += std::fabs(value);
    EXPECT_NEAR(in_parameters, in_buffer, 1e-9 * in_buffer);
  });
}

TEST(Sgd, NonFiniteGradientChangesNothingAndIsNamed) {
  for_each_backend([](Context& context) {
    const auto store = toy_store(context);
    Sgd sgd(context, *store, {});
    set_toy_gradients(context, *store, 0);
    sgd.step(context, 0, 0.1);
    const std::string weights = weights_sha256(context, *store), momentum = momentum_sha256(context, *store);
    const Parameter& norm = *store->find("head.norm.weight");
    std::vector<float> gradient = norm.gradient.to_host<float>(context);
    gradient[13] = -INFINITY;
    gradient[19] = std::nanf("");
    norm.gradient.copy_from_host(context, gradient.data());
    try {
      sgd.step(context, 41, 0.1);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::non_finite);
      EXPECT_STREQ(
          error.what(),
          "iteration 41: gradient of head.norm.weight [20]: 2 of 20 values are not finite, the first at index 13 "
          "is -inf");
    }
    EXPECT_EQ(weights_sha256(context, *store), weights);
    EXPECT_EQ(momentum_sha256(context, *store), momentum);
  });
}

TEST(Sgd, HugeFiniteGradientsHaveAFiniteNorm) {
  for_each_backend([](Context& context) {
    const std::vector<float> huge(100003, 3e38f);
    double sum = 0;
    const Tensor tensor = Tensor::from_host<float>(context, {static_cast<int64_t>(huge.size())}, huge);
    const auto sum_squares = [&](const float* x, int64_t count) {
      dispatch(context, [&](auto& backend) { sum_of_squares(backend, {x, count, &sum}); });
    };
    sum_squares(tensor.data<float>(), tensor.elements());
    EXPECT_NEAR(std::sqrt(sum) / (3e38 * std::sqrt(100003.0)), 1.0, 1e-6);
    sum_squares(tensor.data<float>() + 1, 16387);
    EXPECT_NEAR(std::sqrt(sum) / (3e38 * std::sqrt(16387.0)), 1.0, 1e-6);
    sum_squares(nullptr, 0);
    EXPECT_EQ(sum, 0.0);
  });
}

}  // namespace
}  // namespace tessera
