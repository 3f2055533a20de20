#include "engine/autograd/tape.h"

#include <unordered_set>

#include "engine/autograd/parameter_store.h"
#include "engine/core/dispatch.h"
#include "kernels/add.h"

namespace tessera {

Context& BackwardPass::context() const { return tape_.context_; }

const Tensor& BackwardPass::saved(size_t index) const { return tape_.nodes_[node_].saved.at(index); }

bool BackwardPass::has_output_gradient(size_t index) const {
  return tape_.slots_[static_cast<size_t>(tape_.nodes_[node_].outputs.at(index))].gradient.defined();
}

Tensor BackwardPass::output_gradient(size_t index) {
  Tape::Slot& slot = tape_.slots_[static_cast<size_t>(tape_.nodes_[node_].outputs.at(index))];
  if (!slot.gradient.defined()) slot.gradient = Tensor::zeros(context(), slot.shape, DType::f32, "gradient");
  return slot.gradient;
}

bool BackwardPass::needs_gradient(size_t input) const { return tape_.nodes_[node_].inputs.at(input) >= 0; }

void BackwardPass::add_gradient(size_t input, Tensor gradient) {
  const int32_t slot = tape_.nodes_[node_].inputs.at(input);
  if (slot >= 0) tape_.accumulate(slot, std::move(gradient));
}

int32_t Tape::new_slot(const Shape& shape) {
  slots_.push_back({{}, {}, shape});
  return static_cast<int32_t>(slots_.size()) - 1;
}

Variable Tape::input(Tensor value) {
  if (!recording()) return {std::move(value)};
  const int32_t slot = new_slot(value.shape());
  return {std::move(value), slot};
}

Variable Tape::parameter(const Parameter& parameter) {
  if (!recording() || !parameter.trainable) return {parameter.value};
  const int32_t slot = new_slot(parameter.value.shape());
  slots_.back().target = parameter.gradient;
  return {parameter.value, slot};
}

bool Tape::will_record(std::initializer_list<Variable> inputs) const {
  if (!recording()) return false;
  for (const Variable& input : inputs) {
    if (input.needs_gradient()) return true;
  }
  return false;
}

Variable Tape::record(const char* op, std::initializer_list<Variable> inputs, Tensor output, std::vector<Tensor> saved,
                      BackwardFunction backward) {
  return record(op, std::vector<Variable>(inputs), std::vector<Tensor>{std::move(output)}, std::move(saved),
                std::move(backward))[0];
}

std::vector<Variable> Tape::record(const char* op, const std::vector<Variable>& inputs, std::vector<Tensor> outputs,
                                   std::vector<Tensor> saved, BackwardFunction backward) {
  StageCost& cost = current_cost();
  for (const Tensor& output : outputs) cost.activation_bytes += static_cast<int64_t>(output.bytes());

  bool needed = false;
  for (const Variable& input : inputs) needed = needed || input.needs_gradient();
  std::vector<Variable> results;
  results.reserve(outputs.size());
  if (!recording() || !needed) {
    for (Tensor& output : outputs) results.emplace_back(std::move(output));
    return results;
  }
  Node node{op, {}, {}, std::move(saved), std::move(backward)};
  for (const Variable& input : inputs) node.inputs.push_back(input.slot);
  for (Tensor& output : outputs) {
    const int32_t slot = new_slot(output.shape());
    node.outputs.push_back(slot);
    results.emplace_back(std::move(output), slot);
  }
  nodes_.push_back(std::move(node));
  return results;
}

void Tape::backward(const Variable& loss) {
  TESSERA_CHECK(loss.value.elements() == 1, "loss of shape {}", loss.shape().to_string());
  Tensor one = Tensor::empty(context_, loss.shape(), DType::f32, "gradient");
  const float value = 1.0f;
  one.copy_from_host(context_, &value);
  backward(loss, one);
}

void Tape::backward(const Variable& output, const Tensor& cotangent) {
  TESSERA_CHECK(output.needs_gradient(), "nothing on the tape depends on an input that needs a gradient");
  TESSERA_CHECK(cotangent.shape() == output.shape(), "cotangent {} for {}", cotangent.shape().to_string(),
                output.shape().to_string());
  accumulate(output.slot, cotangent);
  for (size_t index = nodes_.size(); index-- > 0;) {
    bool reached = false;
    for (const int32_t slot : nodes_[index].outputs)
      reached = reached || slots_[static_cast<size_t>(slot)].gradient.defined();
    if (reached) {
      BackwardPass pass(*this, index);
      nodes_[index].backward(pass);
    }
    for (const int32_t slot : nodes_[index].outputs) slots_[static_cast<size_t>(slot)].gradient = {};
    nodes_[index] = {};
  }
  nodes_.clear();
}

void Tape::accumulate(int32_t index, Tensor gradient) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  TESSERA_CHECK(gradient.elements() == slot.shape.elements(), "gradient {} for {}", gradient.shape().to_string(),
                slot.shape.to_string());
  const auto add = [&](const Tensor& a, const Tensor& b, const Tensor& sum) {
    dispatch(context_, [&](auto& backend) {
      add_forward(backend, {a.data<float>(), b.data<float>(), sum.data<float>(), sum.elements(), false});
    });
  };
  if (slot.target.defined()) {
    add(slot.target, gradient, slot.target);
  } else if (!slot.gradient.defined()) {
    slot.gradient = gradient.reshape(slot.shape);
  } else if (slot.gradient.unique()) {
    add(slot.gradient, gradient, slot.gradient);
  } else {
    Tensor sum = Tensor::empty(context_, slot.shape, DType::f32, "gradient");
    add(slot.gradient, gradient, sum);
    slot.gradient = sum;
  }
}

Tensor Tape::gradient(const Variable& leaf) const {
  TESSERA_CHECK(leaf.needs_gradient(), "the variable is a constant");
  return slots_.at(static_cast<size_t>(leaf.slot)).gradient;
}

size_t Tape::saved_bytes() const {
  std::unordered_set<const Storage*> seen;
  size_t bytes = 0;
  for (const Node& node : nodes_) {
    for (const Tensor& tensor : node.saved) {
      if (tensor.defined() && seen.insert(tensor.storage()).second) bytes += tensor.storage()->bytes();
    }
  }
  return bytes;
}

void Tape::clear() {
  nodes_.clear();
  slots_.clear();
}

StageCost& Tape::current_cost() {
  for (StageCost& cost : costs_) {
    if (cost.name == stage_) return cost;
  }
  costs_.push_back({stage_, 0, 0});
  return costs_.back();
}

void Tape::count_macs(int64_t macs) { current_cost().macs += macs; }

Tape::Stage::Stage(Tape& tape, const std::string& name) : tape_(tape), outer_(tape.stage_) {
  tape_.stage_ = outer_.empty() ? name : outer_ + "." + name;
}

Tape::Stage::~Stage() { tape_.stage_ = outer_; }

}  // namespace tessera
