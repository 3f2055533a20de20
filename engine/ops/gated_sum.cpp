#include "engine/ops/gated_sum.h"

#include "engine/core/dispatch.h"
#include "kernels/gated_sum.h"

namespace tessera {

namespace {

// Inputs are x, then gate and value of every branch; saved are gate and value of every branch.
void backward(BackwardPass& pass, size_t branches) {
  const Tensor dy = pass.output_gradient();
  pass.add_gradient(0, dy);
  for (size_t b = 0; b < branches; ++b) {
    const bool gate_learns = pass.needs_gradient(1 + 2 * b), value_learns = pass.needs_gradient(2 + 2 * b);
    const Tensor &gate = pass.saved(2 * b), &value = pass.saved(2 * b + 1);
    Tensor dgate, dvalue;
    if (gate_learns) dgate = Tensor::empty(pass.context(), gate.shape(), DType::f32, "gradient");
    if (value_learns) dvalue = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      gated_sum_backward(backend, {gate.data<float>(), gate_learns ? value.data<float>() : nullptr, dy.data<float>(),
                                   value_learns ? dvalue.data<float>() : nullptr,
                                   gate_learns ? dgate.data<float>() : nullptr, dy.elements()});
    });
    if (gate_learns) pass.add_gradient(1 + 2 * b, std::move(dgate));
    if (value_learns) pass.add_gradient(2 + 2 * b, std::move(dvalue));
  }
}

}  // namespace

Variable gated_sum(Tape& tape, const Variable& x, const std::vector<GatedBranch>& branches) {
  TESSERA_CHECK(!branches.empty() && branches.size() <= static_cast<size_t>(kMaxGatedBranches), "{} branches",
                branches.size());
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "gated_sum");
  GatedSumForwardArgs args{};
  args.count = y.elements();
  args.branch_count = static_cast<int>(branches.size());
  std::vector<Variable> inputs = {x};
  std::vector<Tensor> saved;
  for (size_t b = 0; b < branches.size(); ++b) {
    const GatedBranch& branch = branches[b];
    TESSERA_CHECK(branch.gate.value.elements() == 1 && branch.value.shape() == x.shape(), "gate {}, branch {} for {}",
                  branch.gate.shape().to_string(), branch.value.shape().to_string(), x.shape().to_string());
    inputs.push_back(branch.gate);
    inputs.push_back(branch.value);
    saved.push_back(branch.gate.value);
    saved.push_back(branch.gate.needs_gradient() ? branch.value.value : Tensor());
    args.gates[b] = branch.gate.value.data<float>();
    args.branches[b] = branch.value.value.data<float>();
  }
  args.x = x.value.data<float>();
  args.y = y.data<float>();
  dispatch(tape.context(), [&](auto& backend) { gated_sum_forward(backend, args); });
  return tape.record("gated_sum", inputs, {y}, std::move(saved),
                     [count = branches.size()](BackwardPass& pass) { backward(pass, count); })[0];
}

}  // namespace tessera
