#include "engine/training/finite_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/engine/training/toy_store.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;
using testing_support::set_toy_gradients;
using testing_support::toy_store;

std::string problem_of(const std::function<void()>& body) {
  try {
    body();
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::non_finite);
    return error.what();
  }
}

TEST(FiniteCheck, CountsAndFindsTheFirstInEveryPlace) {
  for_each_backend([](Context& context) {
    // Several chunks and a tail; fewer elements where every thread of a device is emulated.
    const int64_t chunk = context.backend() == Backend::emulated ? 4096 : 65536, count = 3 * chunk + 3393;
    Tensor tensor = Tensor::zeros(context, {count});
    std::vector<float> values(static_cast<size_t>(count), 3.4e38f);
    values[5] = -0.0f;
    values[6] = 1e-45f;
    for (const int64_t place : {int64_t{0}, chunk - 1, chunk, 2 * chunk, count - 1}) {
      for (const float bad : {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY}) {
        std::vector<float> spoiled = values;
        spoiled[static_cast<size_t>(place)] = bad;
        tensor.copy_from_host(context, spoiled.data());
        const NonFinite found = count_non_finite(context, tensor);
        EXPECT_EQ(found.count, 1);
        EXPECT_EQ(found.first, place);
      }
    }
    std::vector<float> all(values.size(), INFINITY);
    tensor.copy_from_host(context, all.data());
    EXPECT_EQ(count_non_finite(context, tensor).count, count);
    EXPECT_EQ(count_non_finite(context, tensor).first, 0);
    tensor.copy_from_host(context, values.data());
    EXPECT_EQ(count_non_finite(context, tensor).count, 0);
    EXPECT_EQ(count_non_finite(context, tensor).first, -1);
    EXPECT_EQ(count_non_finite(context, Tensor::zeros(context, {0})).count, 0);
  });
}

TEST(FiniteCheck, NamesLossAndItsCause) {
  for_each_backend([](Context& context) {
    const auto store = toy_store(context);
    const float good = 1, bad = std::nanf("");
    const Tensor cls = Tensor::from_host<float>(context, {1}, {&good, 1});
    const Tensor seg = Tensor::from_host<float>(context, {1}, {&bad, 1});
    const std::vector<NamedTensor> losses = {{"loss cls", cls}, {"loss seg", seg}};
    EXPECT_EQ(problem_of([&] { require_finite(context, 7, {{"loss cls", cls}}, store.get()); }), "");
    EXPECT_EQ(problem_of([&] { require_finite(context, 7, losses, store.get()); }), "iteration 7: loss seg is nan");
    std::vector<float> bias(3, INFINITY);
    store->find("head.conv.bias")->value.copy_from_host(context, bias.data());
    EXPECT_EQ(problem_of([&] { require_finite(context, 7, losses, store.get()); }),
              "iteration 7: loss seg is nan; parameter head.conv.bias [3]: 3 of 3 values are not finite, the first at "
              "index 0 is inf");
    EXPECT_EQ(problem_of([&] { require_finite(context, 7, losses, nullptr); }), "iteration 7: loss seg is nan");
    EXPECT_NE(problem_of([&] { require_finite_parameters(context, 7, *store); }).find("parameter head.conv.bias"),
              std::string::npos);
  });
}

TEST(FiniteCheck, GradientsAndFrozenParameters) {
  for_each_backend([](Context& context) {
    const auto store = toy_store(context);
    set_toy_gradients(context, *store, 0);
    EXPECT_EQ(problem_of([&] { require_finite_gradients(context, 1, *store); }), "");
    EXPECT_EQ(problem_of([&] { require_finite_parameters(context, 1, *store); }), "");
    std::vector<float> mean(7, 0.0f);
    mean[6] = -INFINITY;
    store->find("stem.norm.running_mean")->value.copy_from_host(context, mean.data());
    EXPECT_EQ(
        problem_of([&] { require_finite_parameters(context, 1, *store); }),
        "iteration 1: parameter stem.norm.running_mean [7]: 1 of 7 values are not finite, the first at index 6 is "
        "-inf");
    std::vector<float> gradient(3, std::nanf(""));
    store->find("head.conv.bias")->gradient.copy_from_host(context, gradient.data());
    EXPECT_EQ(problem_of([&] { require_finite_gradients(context, 1, *store); }),
              "iteration 1: gradient of head.conv.bias [3]: 3 of 3 values are not finite, the first at index 0 is nan");
  });
}

}  // namespace
}  // namespace tessera
