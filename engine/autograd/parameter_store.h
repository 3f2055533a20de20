// All parameters of a model in flat buffers: values, gradients and momentum are each one range, so that checkpoint,
// all-reduce, optimizer step and memory table are loops over it. Modules declare parameters by name while they are
// built; `allocate` lays them out (trainable ones first, in order of declaration) and initialises them.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/core/tensor.h"

namespace tessera {

enum class ParameterRole : uint8_t {
  weight,         // decayed
  bias,           // decayed like a weight (AdelaiDet)
  norm_affine,    // scale and shift of a trained norm: not decayed
  frozen_affine,  // scale and shift of a frozen norm: counted as parameters, never trained
  statistic,      // running mean and variance: neither trained nor counted
};

struct Initializer {
  enum class Kind : uint8_t {
    constant,
    normal,
    uniform,
    uniform_fan_in,
    kaiming_normal_fan_out,
    kaiming_uniform_fan_in,
    xavier_uniform
  };
  Kind kind = Kind::constant;
  float value = 0.0f;  // constant: the value; normal: the standard deviation; uniform: the bound

  static Initializer constant(float value) { return {Kind::constant, value}; }
  static Initializer zeros() { return constant(0.0f); }
  static Initializer ones() { return constant(1.0f); }
  static Initializer normal(float deviation) { return {Kind::normal, deviation}; }
  // U(-bound, bound); with uniform_fan_in bound = 1 / sqrt(kh * kw * I): the defaults of PyTorch's convolutions and
  // linear layers, whose biases have the bound of their weights.
  static Initializer uniform(float bound) { return {Kind::uniform, bound}; }
  static Initializer uniform_fan_in() { return {Kind::uniform_fan_in, 0.0f}; }
  // N(0, 2 / (O * kh * kw)), as kaiming_normal_(mode="fan_out", nonlinearity="relu") of PyTorch.
  static Initializer kaiming_normal() { return {Kind::kaiming_normal_fan_out, 0.0f}; }
  // U(-b, b), b = sqrt(3 / (kh * kw * I)), as kaiming_uniform_(a=1); "c2_xavier_fill" of detectron2.
  static Initializer kaiming_uniform() { return {Kind::kaiming_uniform_fan_in, 0.0f}; }
  // U(-b, b), b = sqrt(6 / (kh * kw * (I + O))), as xavier_uniform_ of PyTorch.
  static Initializer xavier_uniform() { return {Kind::xavier_uniform, 0.0f}; }
};

struct Parameter {
  std::string name;  // canonical, e.g. backbone.bottom_up.res2.0.conv1.weight
  Shape shape;       // conv weights O, H, W, I/groups; linear weights O, I
  ParameterRole role = ParameterRole::weight;
  Initializer initializer;
  bool trainable = true;
  Tensor value;
  Tensor gradient;  // defined when trainable and the store was allocated for training

  bool counted() const { return role != ParameterRole::statistic; }
  bool decayed() const { return role == ParameterRole::weight || role == ParameterRole::bias; }
};

class ParameterStore {
 public:
  ParameterStore() = default;
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  // References stay valid. Throws Error(internal) for a name declared twice or after allocation.
  Parameter& declare(std::string name, const Shape& shape, ParameterRole role, Initializer initializer);

  // training: also gradients and momentum (zeroed). Values are a function of (seed, name).
  void allocate(Context& context, uint64_t seed, bool training);
  // For optimizers that keep one: zeroed, beside the momentum. Once it is there it stays as it is.
  void add_second_moment(Context& context);

  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  const Parameter* find(std::string_view name) const;

  // Learned parameters plus the affine of frozen norms.
  int64_t count(std::string_view prefix = "") const;

  // One-dimensional; gradients and momentum cover the trainable head of values, element by element.
  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  const Tensor& momentum() const { return momentum_; }
  int64_t trainable_elements() const { return trainable_elements_; }
  // The slice of the flat momentum that belongs to a trainable parameter.
  Tensor momentum_of(const Parameter& parameter) const;
  // Undefined unless added.
  const Tensor& second_moment() const { return second_moment_; }
  Tensor second_moment_of(const Parameter& parameter) const;
  void zero_gradients(Context& context) const { gradients_.fill_zero(context); }

 private:
  Tensor slice_of(const Tensor& buffer, const Parameter& parameter) const;

  std::deque<Parameter> parameters_;
  std::unordered_map<std::string, size_t> index_;
  std::unordered_map<const Parameter*, int64_t> offset_;
  Tensor values_, gradients_, momentum_;
  int64_t trainable_elements_ = 0;
  Tensor second_moment_;
};

}  // namespace tessera
