#include "engine/autograd/parameter_store.h"

#include <cmath>
#include <vector>

#include "engine/core/rng.h"

namespace tessera {

namespace {

// Parameters start at multiples of 64 bytes.
int64_t padded(int64_t elements) { return (elements + 15) / 16 * 16; }

std::vector<float> initial_values(const Parameter& parameter, uint64_t seed) {
  const Shape& shape = parameter.shape;
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(seed, RandomPurpose::initialization, 0, hash_name(parameter.name));
  const double out = shape.rank() > 0 ? static_cast<double>(shape[0]) : 1.0;
  const double fan_in = static_cast<double>(shape.elements()) / out;
  const double window = shape.rank() == 4 ? static_cast<double>(shape[1] * shape[2]) : 1.0;
  switch (parameter.initializer.kind) {
    case Initializer::Kind::constant:
      for (float& value : values) value = parameter.initializer.value;
      break;
    case Initializer::Kind::normal:
      for (float& value : values) value = parameter.initializer.value * rng.normal();
      break;
    case Initializer::Kind::uniform:
    case Initializer::Kind::uniform_fan_in: {
      const bool from_weights = parameter.initializer.kind == Initializer::Kind::uniform_fan_in;
      const float bound = from_weights ? static_cast<float>(1.0 / std::sqrt(fan_in)) : parameter.initializer.value;
      for (float& value : values) value = rng.uniform(-bound, bound);
      break;
    }
    case Initializer::Kind::kaiming_normal_fan_out: {
      const float deviation = static_cast<float>(std::sqrt(2.0 / (out * window)));
      for (float& value : values) value = deviation * rng.normal();
      break;
    }
    case Initializer::Kind::xavier_uniform: {
      const float bound = static_cast<float>(std::sqrt(6.0 / (fan_in + out * window)));
      for (float& value : values) value = rng.uniform(-bound, bound);
      break;
    }
    case Initializer::Kind::kaiming_uniform_fan_in: {
      const float bound = static_cast<float>(std::sqrt(3.0 / fan_in));
      for (float& value : values) value = rng.uniform(-bound, bound);
      break;
    }
  }
  return values;
}

}  // namespace

Parameter& ParameterStore::declare(std::string name, const Shape& shape, ParameterRole role, Initializer initializer) {
  TESSERA_CHECK(!values_.defined(), "'{}' declared after allocation", name);
  TESSERA_CHECK(index_.emplace(name, parameters_.size()).second, "'{}' declared twice", name);
  Parameter& parameter = parameters_.emplace_back();
  parameter.name = std::move(name);
  parameter.shape = shape;
  parameter.role = role;
  parameter.initializer = initializer;
  parameter.trainable = role != ParameterRole::statistic && role != ParameterRole::frozen_affine;
  return parameter;
}

void ParameterStore::allocate(Context& context, uint64_t seed, bool training) {
  TESSERA_CHECK(!values_.defined(), "allocated twice");
  int64_t total = 0;
  for (const bool trainable : {true, false}) {
    for (Parameter& parameter : parameters_) {
      if (parameter.trainable != trainable) continue;
      offset_[&parameter] = total;
      total += padded(parameter.shape.elements());
    }
    if (trainable) trainable_elements_ = total;
  }
  values_ = Tensor::zeros(context, {total}, DType::f32, "parameters");
  if (training) {
    gradients_ = Tensor::zeros(context, {trainable_elements_}, DType::f32, "gradients of parameters");
    momentum_ = Tensor::zeros(context, {trainable_elements_}, DType::f32, "momentum");
  }
  for (Parameter& parameter : parameters_) {
    const int64_t begin = offset_.at(&parameter);
    const int64_t end = begin + parameter.shape.elements();
    parameter.value = values_.slice(begin, end).reshape(parameter.shape);
    if (training && parameter.trainable) parameter.gradient = gradients_.slice(begin, end).reshape(parameter.shape);
    if (context.backend() != Backend::plan) {
      parameter.value.copy_from_host(context, initial_values(parameter, seed).data());
    }
  }
}

const Parameter* ParameterStore::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

int64_t ParameterStore::count(std::string_view prefix) const {
  int64_t total = 0;
  for (const Parameter& parameter : parameters_) {
    if (parameter.counted() && std::string_view(parameter.name).starts_with(prefix))
      total += parameter.shape.elements();
  }
  return total;
}

void ParameterStore::add_second_moment(Context& context) {
  TESSERA_CHECK(momentum_.defined(), "the parameters are not allocated for training");
  if (second_moment_.defined()) return;
  second_moment_ = Tensor::zeros(context, {trainable_elements_}, DType::f32, "second moment");
}

Tensor ParameterStore::momentum_of(const Parameter& parameter) const { return slice_of(momentum_, parameter); }

Tensor ParameterStore::second_moment_of(const Parameter& parameter) const {
  return slice_of(second_moment_, parameter);
}

Tensor ParameterStore::slice_of(const Tensor& buffer, const Parameter& parameter) const {
  TESSERA_CHECK(parameter.trainable && buffer.defined(), "'{}' has no state of an optimizer", parameter.name);
  const int64_t begin = offset_.at(&parameter);
  return buffer.slice(begin, begin + parameter.shape.elements()).reshape(parameter.shape);
}

}  // namespace tessera
