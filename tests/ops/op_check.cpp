#include "tests/ops/op_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>

#include "engine/core/device.h"
#include "engine/core/dispatch.h"
#include "engine/core/rng.h"
#include "kernels/emulator/executor.h"
#include "tests/ops/guarded_allocator.h"
#include "tests/sanitized.h"

namespace tessera::testing_support {

namespace {

Tensor upload(Context& context, const OpInput& input) {
  std::vector<float> values(input.values.begin(), input.values.end());
  return Tensor::from_host<float>(context, input.shape, values);
}

struct Run {
  std::vector<float> output;
  std::vector<std::vector<float>> gradients;  // empty for inputs that are not differentiable
};

Run run(Context& context, const std::vector<OpInput>& inputs, const OpUnderTest& op, bool with_gradients) {
  Tape tape(context, with_gradients ? Tape::Mode::record : Tape::Mode::forward);
  std::vector<Variable> variables;
  for (const OpInput& input : inputs) {
    Tensor tensor = upload(context, input);
    variables.push_back(with_gradients && input.differentiable ? tape.input(tensor) : Variable(tensor));
  }
  const Variable output = op(tape, variables);
  Run result{output.value.to_host<float>(context), {}};
  if (!with_gradients) return result;
  const OpInput cotangent = random_input(output.shape(), 999);
  tape.backward(output, upload(context, cotangent));
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.gradients.emplace_back();
    if (!inputs[i].differentiable) continue;
    const Tensor gradient = tape.gradient(variables[i]);
    EXPECT_TRUE(gradient.defined()) << "input " << i << " got no gradient";
    if (gradient.defined()) result.gradients.back() = gradient.to_host<float>(context);
  }
  return result;
}

void expect_output(const std::string& name, const std::vector<float>& computed, const std::vector<double>& expected,
                   const OpTolerance& tolerance) {
  ASSERT_EQ(computed.size(), expected.size()) << name;
  int reported = 0;
  for (size_t i = 0; i < expected.size() && reported < 5; ++i) {
    const double bound = tolerance.forward_absolute + tolerance.forward_relative * std::abs(expected[i]);
    if (!(std::abs(computed[i] - expected[i]) <= bound)) {
      ADD_FAILURE() << name << ": output[" << i << "] = " << computed[i] << ", expected " << expected[i];
      ++reported;
    }
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

std::vector<std::vector<double>> oracle_values(const std::vector<OpInput>& inputs) {
  std::vector<std::vector<double>> values;
  for (const OpInput& input : inputs) values.push_back(input.values);
  return values;
}

}  // namespace

namespace {

std::unique_ptr<Context> make_context_under_test(const Device& device, const EmulatorSchedule& schedule) {
  switch (device.backend) {
    case Backend::cpu:
      return std::make_unique<CpuContext>(0, make_guarded_allocator());
    case Backend::emulated:
      return std::make_unique<EmulatedContext>(schedule, make_guarded_allocator());
    default:
      break;
  }
  std::unique_ptr<Context> context = make_context(device);
  context->exchange_allocator(make_guarded_device_allocator(*context));
  return context;
}

// AddressSanitizer and the race checker (tools/run_races.sh) see the same in a second run.
bool runs_twice() { return !kAddressSanitized && std::getenv("TESSERA_LAUNCHES") == nullptr; }

// Both, or the one that TESSERA_EMULATOR names. Under AddressSanitizer one of them, by turns from test to test.
std::vector<EmulatorSchedule> schedules_under_test() {
  const char* named = std::getenv("TESSERA_EMULATOR");
  if (named != nullptr) return {parse_emulator_schedule(named)};
  if (!kAddressSanitized) return {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()};
  const std::string_view test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const bool shuffled = std::accumulate(test.begin(), test.end(), 0) % 2 == 0;
  return {shuffled ? EmulatorSchedule::shuffled() : EmulatorSchedule::forward()};
}

std::vector<std::unique_ptr<Context>> backends_under_test() {
  const char* names = std::getenv("TESSERA_BACKENDS");
  std::stringstream list(names != nullptr ? names : "cpu");
  std::vector<std::unique_ptr<Context>> contexts;
  for (std::string name; std::getline(list, name, ',');) {
    try {
      const Device device = parse_device(name);
      if (device.backend == Backend::emulated) {
        for (const EmulatorSchedule& schedule : schedules_under_test()) {
          contexts.push_back(make_context_under_test(device, schedule));
        }
      } else {
        contexts.push_back(make_context_under_test(device, {}));
      }
    } catch (const Error& error) {
      ADD_FAILURE() << "required backend '" << name << "' is missing: " << error.what();
    }
  }
  return contexts;
}

// TESSERA_LAUNCHES=FILE: which launches the tests have reached, for tools/run_races.sh.
void note_launches(Context& context) {
  const char* file = std::getenv("TESSERA_LAUNCHES");
  if (file == nullptr || context.backend() != Backend::emulated) return;
  std::ofstream out(file, std::ios::app);
  for (const auto& [name, line] : static_cast<EmulatedContext&>(context).executor().launched_from()) {
    out << name << ":" << line << "\n";
  }
}

}  // namespace

void for_each_backend(const std::function<void(Context&)>& test) {
  std::string missing;
  for (const auto& context : backends_under_test()) {
    SCOPED_TRACE(backend_name(context->backend()));
    try {
      test(*context);
    } catch (const MissingKernel& error) {
      missing = std::string(backend_name(context->backend())) + ": " + error.what();
    }
    note_launches(*context);
  }
  if (!missing.empty()) GTEST_SKIP() << missing;
}

OpInput random_input(const Shape& shape, uint64_t sample, double deviation, double mean) {
  Rng rng(20240917, RandomPurpose::test, 0, sample);
  OpInput input{shape, std::vector<double>(static_cast<size_t>(shape.elements())), true};
  for (double& value : input.values) value = static_cast<float>(mean + deviation * rng.normal());
  return input;
}

OpInput random_input_away_from_zero(const Shape& shape, uint64_t sample, double gap) {
  OpInput input = random_input(shape, sample);
  for (double& value : input.values) value = static_cast<float>(value < 0 ? value - gap : value + gap);
  return input;
}

void check_op_forward(const std::string& name, const std::vector<OpInput>& inputs, const OpUnderTest& op,
                      const OpOracle& oracle, const OpTolerance& tolerance) {
  const std::vector<double> expected = oracle(oracle_values(inputs));
  for_each_backend([&](Context& context) {
    const std::string where = name + " on " + backend_name(context.backend());
    const Run first = run(context, inputs, op, false);
    expect_output(where, first.output, expected, tolerance);
    if (!runs_twice()) return;
    EXPECT_TRUE(same_bits(first.output, run(context, inputs, op, false).output)) << where << ": not repeatable";
  });
}

void check_op(const std::string& name, const std::vector<OpInput>& inputs, const OpUnderTest& op,
              const OpOracle& oracle, const OpTolerance& tolerance) {
  const std::vector<std::vector<double>> values = oracle_values(inputs);
  const std::vector<double> expected = oracle(values);

  // Derivatives of sum(cotangent * oracle), once for all backends.
  const std::vector<double> cotangent = random_input({static_cast<int64_t>(expected.size())}, 999).values;
  struct Derivative {
    size_t input, position;
    double value;
  };
  std::vector<Derivative> derivatives;
  const auto objective = [&](const std::vector<std::vector<double>>& at) {
    const std::vector<double> output = oracle(at);
    double sum = 0;
    for (size_t i = 0; i < output.size(); ++i) sum += output[i] * cotangent[i];
    return sum;
  };
  Rng rng(7, RandomPurpose::test);
  for (size_t input = 0; input < inputs.size(); ++input) {
    if (!inputs[input].differentiable) continue;
    std::vector<std::vector<double>> at = values;
    const size_t count = values[input].size();
    // The oracle runs twice for each, on the host: a sanitizer sees nothing new in it.
    const int most = kSanitized ? std::min(tolerance.jacobian_limit, 64) : tolerance.jacobian_limit;
    const size_t probes = std::min(count, static_cast<size_t>(most));
    for (size_t probe = 0; probe < probes; ++probe) {
      const size_t position = probes == count ? probe : rng.below(static_cast<uint32_t>(count));
      const double centre = values[input][position];
      at[input][position] = centre + tolerance.step;
      const double above = objective(at);
      at[input][position] = centre - tolerance.step;
      const double below = objective(at);
      at[input][position] = centre;
      derivatives.push_back({input, position, (above - below) / (2 * tolerance.step)});
    }
  }

  for_each_backend([&](Context& context) {
    const std::string where = name + " on " + backend_name(context.backend());
    const Run first = run(context, inputs, op, true);
    const Run second = !runs_twice() ? first : run(context, inputs, op, true);
    expect_output(where, first.output, expected, tolerance);
    EXPECT_TRUE(same_bits(first.output, second.output)) << where << ": forward is not repeatable";
    std::vector<double> largest(inputs.size(), 0.0);
    for (const Derivative& derivative : derivatives) {
      largest[derivative.input] = std::max(largest[derivative.input], std::abs(derivative.value));
    }
    for (size_t input = 0; input < inputs.size(); ++input) {
      if (!inputs[input].differentiable) continue;
      EXPECT_TRUE(same_bits(first.gradients[input], second.gradients[input]))
          << where << ": backward is not repeatable";
      ASSERT_EQ(first.gradients[input].size(), values[input].size()) << where << ": gradient of input " << input;
    }
    int reported = 0;
    for (const Derivative& derivative : derivatives) {
      const double computed = first.gradients[derivative.input][derivative.position];
      const double bound = tolerance.gradient_absolute * std::max(largest[derivative.input], 1e-3) +
                           tolerance.gradient_relative * std::abs(derivative.value);
      if (!(std::abs(computed - derivative.value) <= bound) && reported++ < 5) {
        ADD_FAILURE() << where << ": d/d input " << derivative.input << "[" << derivative.position << "] = " << computed
                      << ", expected " << derivative.value;
      }
    }
  });
}

}  // namespace tessera::testing_support
