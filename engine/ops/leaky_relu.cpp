#include "engine/ops/leaky_relu.h"

#include "engine/core/dispatch.h"
#include "kernels/leaky_relu.h"

namespace tessera {

Variable leaky_relu(Tape& tape, const Variable& x, float slope) {
  TESSERA_CHECK(slope > 0, "slope {}", slope);
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "leaky_relu");
  dispatch(tape.context(), [&](auto& backend) {
    leaky_relu_forward(backend, {x.value.data<float>(), y.data<float>(), y.elements(), slope});
  });
  return tape.record("leaky_relu", {x}, y, {y}, [slope](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      leaky_relu_backward(backend,
                          {pass.saved(0).data<float>(), dy.data<float>(), dx.data<float>(), dx.elements(), slope});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

}  // namespace tessera
