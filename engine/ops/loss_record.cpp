#include "engine/ops/loss_record.h"

#include "engine/core/dispatch.h"
#include "kernels/loss_gradient.h"

namespace tessera {

Variable record_loss(Tape& tape, const char* op, std::initializer_list<Variable> inputs, Tensor loss,
                     std::vector<Tensor> gradients) {
  const size_t count = gradients.size();
  return tape.record(op, inputs, std::move(loss), std::move(gradients), [count](BackwardPass& pass) {
    const Tensor cotangent = pass.output_gradient();
    for (size_t i = 0; i < count; ++i) {
      if (!pass.needs_gradient(i)) continue;
      const Tensor& gradient = pass.saved(i);
      dispatch(pass.context(), [&](auto& backend) {
        loss_gradient_scale(backend, {gradient.data<float>(), cotangent.data<float>(), gradient.elements()});
      });
      pass.add_gradient(i, gradient);
    }
  });
}

}  // namespace tessera
