#include "engine/training/finite_check.h"

#include "engine/core/dispatch.h"
#include "kernels/finite_check.h"

namespace tessera {

namespace {

constexpr const char* kHint = "a new run with a lower train.learning_rate";

// "gradient of x [3x3]: 2 of 9 values are not finite, the first at index 4 is nan"
std::string describe(Context& context, const NamedTensor& named, const NonFinite& found) {
  const float value =
      named.tensor.reshape({named.tensor.elements()}).slice(found.first, found.first + 1).to_host<float>(context)[0];
  if (named.tensor.elements() == 1) return fmt::format("{} is {}", named.name, value);
  return fmt::format("{} {}: {} of {} values are not finite, the first at index {} is {}", named.name,
                     named.tensor.shape().to_string(), found.count, named.tensor.elements(), found.first, value);
}

// The first bad tensor of a list in words, "" when all are finite.
std::string first_problem(Context& context, const std::vector<NamedTensor>& tensors) {
  for (const NamedTensor& named : tensors) {
    const NonFinite found = count_non_finite(context, named.tensor);
    if (found.count > 0) return describe(context, named, found);
  }
  return {};
}

std::vector<NamedTensor> values_of(const ParameterStore& store) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : store.parameters())
    tensors.push_back({fmt::format("parameter {}", parameter.name), parameter.value});
  return tensors;
}

void require(Context& context, int64_t iteration, const std::vector<NamedTensor>& tensors) {
  const std::string problem = first_problem(context, tensors);
  if (!problem.empty()) throw Error(ExitCode::non_finite, fmt::format("iteration {}: {}", iteration, problem), kHint);
}

}  // namespace

NonFinite count_non_finite(Context& context, const Tensor& tensor) {
  NonFinite found;
  dispatch(context, [&](auto& backend) {
    finite_check(backend, {tensor.data<float>(), tensor.elements(), &found.count, &found.first});
  });
  return found;
}

void require_finite(Context& context, int64_t iteration, const std::vector<NamedTensor>& tensors,
                    const ParameterStore* store) {
  const std::string problem = first_problem(context, tensors);
  if (problem.empty()) return;
  const std::string cause = store != nullptr ? first_problem(context, values_of(*store)) : std::string();
  throw Error(ExitCode::non_finite,
              fmt::format("iteration {}: {}{}{}", iteration, problem, cause.empty() ? "" : "; ", cause), kHint);
}

void require_finite_gradients(Context& context, int64_t iteration, const ParameterStore& store) {
  if (count_non_finite(context, store.gradients()).count == 0) return;
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.gradient.defined())
      tensors.push_back({fmt::format("gradient of {}", parameter.name), parameter.gradient});
  }
  require(context, iteration, tensors);
}

void require_finite_parameters(Context& context, int64_t iteration, const ParameterStore& store) {
  if (count_non_finite(context, store.values()).count == 0) return;
  require(context, iteration, values_of(store));
}

}  // namespace tessera
