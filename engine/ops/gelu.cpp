#include "engine/ops/gelu.h"

#include "engine/core/dispatch.h"
#include "kernels/gelu.h"

namespace tessera {

Variable gelu(Tape& tape, const Variable& x) {
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "gelu");
  dispatch(tape.context(), [&](auto& backend) {
    gelu_forward(backend, {x.value.data<float>(), y.data<float>(), y.elements()});
  });
  return tape.record("gelu", {x}, y, {x.value}, [](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      gelu_backward(backend, {pass.saved(0).data<float>(), dy.data<float>(), dx.data<float>(), dx.elements()});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

}  // namespace tessera
