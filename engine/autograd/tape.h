// The record of one forward pass: nodes in execution order, each with its inputs, an explicit list of saved tensors and
// a backward function. `backward` walks it in reverse and frees as it goes. Nothing is kept that a backward did not
// name.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd/variable.h"

namespace tessera {

struct Parameter;
class Tape;

// What the backward function of a node sees.
class BackwardPass {
 public:
  Context& context() const;
  const Tensor& saved(size_t index) const;
  // Whether anything used an output; of a node's outputs at least one.
  bool has_output_gradient(size_t index = 0) const;
  // Gradient of an output; zeros when nothing used that output. Shape of the output.
  Tensor output_gradient(size_t index = 0);
  // Whether the gradient of an input is wanted: skip the arithmetic when not.
  bool needs_gradient(size_t input) const;
  // Adds to the gradient of an input; takes the tensor over when it is the first and nobody else views it.
  void add_gradient(size_t input, Tensor gradient);

 private:
  friend class Tape;
  BackwardPass(Tape& tape, size_t node) : tape_(tape), node_(node) {}
  Tape& tape_;
  size_t node_;
};

using BackwardFunction = std::function<void(BackwardPass&)>;

// Work and memory of one stage of a model (see Tape::Stage).
struct StageCost {
  std::string name;
  int64_t macs = 0;              // multiply-adds of convolutions and matrix products
  int64_t activation_bytes = 0;  // outputs of all ops
};

class Tape {
 public:
  enum class Mode {
    record,   // for training
    forward,  // no gradients: ops record nothing
  };

  explicit Tape(Context& context, Mode mode = Mode::record) : context_(context), mode_(mode) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Context& context() const { return context_; }
  bool recording() const { return mode_ == Mode::record && paused_ == 0; }

  // Leaves. `input` has a gradient that can be read after backward, `parameter` adds its gradient to
  // Parameter::gradient (a frozen parameter is a constant).
  Variable input(Tensor value);
  Variable parameter(const Parameter& parameter);

  // Called by ops: the output of `op` made from `inputs`. `saved` is kept until the node's backward ran, and only when
  // an input needs a gradient; backward gets them by index. op: a string literal.
  Variable record(const char* op, std::initializer_list<Variable> inputs, Tensor output, std::vector<Tensor> saved,
                  BackwardFunction backward);
  std::vector<Variable> record(const char* op, const std::vector<Variable>& inputs, std::vector<Tensor> outputs,
                               std::vector<Tensor> saved, BackwardFunction backward);

  // True when an op over these inputs will be recorded: ops use it to decide whether to compute what backward needs.
  bool will_record(std::initializer_list<Variable> inputs) const;

  // From a scalar (one element), cotangent 1; or from any output with a cotangent of its shape. Clears the record.
  void backward(const Variable& loss);
  void backward(const Variable& output, const Tensor& cotangent);
  // Gradient of an `input` leaf after backward; undefined when none reached it.
  Tensor gradient(const Variable& leaf) const;

  size_t node_count() const { return nodes_.size(); }
  // Bytes of distinct storages that wait for backward.
  size_t saved_bytes() const;
  void clear();

  // Shows somebody what the modules of a network put out on this tape, by name (layers/activation_observer.h). name:
  // "backbone.fpn_lateral3", for a level of a pyramid "proposal_generator.fcos_head.cls_tower.0@2". value: [N, H, W, C]
  // or [R, C]. rectified: a ReLU is applied already.
  using ActivationObserver = std::function<void(const std::string& name, const Tensor& value, bool rectified)>;
  void observe_activations(ActivationObserver observer) { observer_ = std::move(observer); }
  // Empty without an observer.
  const ActivationObserver& activation_observer() const { return observer_; }

  // Called by ops that multiply.
  void count_macs(int64_t macs);
  // Costs by stage, in order of first entry; names are joined with '.', work outside any stage has the name "".
  const std::vector<StageCost>& costs() const { return costs_; }

  // Work done while it lives is accounted to this name: Tape::Stage stage(tape, "backbone");
  class Stage {
   public:
    Stage(Tape& tape, const std::string& name);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

   private:
    Tape& tape_;
    std::string outer_;
  };

  // Ops record nothing while it lives.
  class NoGrad {
   public:
    explicit NoGrad(Tape& tape) : tape_(tape) { ++tape_.paused_; }
    ~NoGrad() { --tape_.paused_; }
    NoGrad(const NoGrad&) = delete;
    NoGrad& operator=(const NoGrad&) = delete;

   private:
    Tape& tape_;
  };

 private:
  friend class BackwardPass;
  struct Slot {
    Tensor gradient;  // accumulated so far
    Tensor target;    // of a parameter: where it is added
    Shape shape;
  };
  struct Node {
    const char* op;
    std::vector<int32_t> inputs;  // slots, -1 for constants
    std::vector<int32_t> outputs;
    std::vector<Tensor> saved;
    BackwardFunction backward;
  };

  int32_t new_slot(const Shape& shape);
  void accumulate(int32_t slot, Tensor gradient);
  StageCost& current_cost();

  Context& context_;
  Mode mode_;
  int paused_ = 0;
  std::vector<Node> nodes_;
  std::vector<Slot> slots_;
  std::vector<StageCost> costs_;
  std::string stage_;
  ActivationObserver observer_;
};

}  // namespace tessera
