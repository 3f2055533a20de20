#include "engine/ops/sigmoid.h"

#include "engine/core/dispatch.h"
#include "kernels/sigmoid.h"

namespace tessera {

Variable sigmoid(Tape& tape, const Variable& x) {
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "sigmoid");
  dispatch(tape.context(), [&](auto& backend) {
    sigmoid_forward(backend, {x.value.data<float>(), y.data<float>(), y.elements()});
  });
  return tape.record("sigmoid", {x}, y, {y}, [](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      sigmoid_backward(backend, {pass.saved(0).data<float>(), dy.data<float>(), dx.data<float>(), dx.elements()});
    });
    pass.add_gradient(0, dx);
  });
}

}  // namespace tessera
