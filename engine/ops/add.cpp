#include "engine/ops/add.h"

#include "engine/core/dispatch.h"
#include "kernels/add.h"
#include "kernels/relu.h"

namespace tessera {

Variable add(Tape& tape, const Variable& a, const Variable& b, const AddOptions& options) {
  TESSERA_CHECK(a.shape() == b.shape(), "{} + {}", a.shape().to_string(), b.shape().to_string());
  Tensor sum = Tensor::empty(tape.context(), a.shape(), DType::f32, "add");
  dispatch(tape.context(), [&](auto& backend) {
    add_forward(backend,
                {a.value.data<float>(), b.value.data<float>(), sum.data<float>(), sum.elements(), options.relu});
  });
  std::vector<Tensor> saved;
  if (options.relu) saved = {sum};
  return tape.record("add", {a, b}, sum, std::move(saved), [options](BackwardPass& pass) {
    Tensor gradient = pass.output_gradient();
    if (options.relu) {
      Tensor masked = Tensor::empty(pass.context(), gradient.shape(), DType::f32, "gradient");
      dispatch(pass.context(), [&](auto& backend) {
        relu_backward(backend,
                      {pass.saved(0).data<float>(), gradient.data<float>(), masked.data<float>(), masked.elements()});
      });
      gradient = masked;
    }
    pass.add_gradient(0, gradient);
    pass.add_gradient(1, gradient);
  });
}

}  // namespace tessera
