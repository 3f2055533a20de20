#include "engine/ops/scale.h"

#include "engine/core/dispatch.h"
#include "kernels/scale.h"

namespace tessera {

namespace {

Tensor scaled(Context& context, const Tensor& x, float factor, const char* name) {
  Tensor y = Tensor::empty(context, x.shape(), DType::f32, name);
  dispatch(context, [&](auto& backend) {
    scale_forward(backend, {x.data<float>(), y.data<float>(), y.elements(), factor});
  });
  return y;
}

}  // namespace

Variable scale(Tape& tape, const Variable& x, float factor) {
  return tape.record("scale", {x}, scaled(tape.context(), x.value, factor, "scale"), {}, [factor](BackwardPass& pass) {
    pass.add_gradient(0, scaled(pass.context(), pass.output_gradient(), factor, "gradient"));
  });
}

}  // namespace tessera
