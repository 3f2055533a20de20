#include "engine/ops/spatial_attention.h"

#include "engine/core/dispatch.h"
#include "kernels/spatial_attention.h"

namespace tessera {

Variable spatial_pool(Tape& tape, const Variable& x) {
  TESSERA_CHECK(x.shape().rank() == 4 && x.extent(3) >= 1, "map of shape {}", x.shape().to_string());
  const int64_t rows = x.extent(0) * x.extent(1) * x.extent(2), channels = x.extent(3);
  Tensor y = Tensor::empty(tape.context(), {x.extent(0), x.extent(1), x.extent(2), 2}, DType::f32, "spatial_pool");
  const Tensor winners = Tensor::empty(tape.context(), {rows}, DType::i32, "spatial_pool winners");
  dispatch(tape.context(), [&](auto& backend) {
    spatial_pool_forward(backend, {x.value.data<float>(), y.data<float>(), winners.data<int32_t>(), rows, channels});
  });
  return tape.record("spatial_pool", {x}, y, {winners}, [shape = x.shape(), rows](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), shape, DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      spatial_pool_backward(backend,
                            {dy.data<float>(), pass.saved(0).data<int32_t>(), dx.data<float>(), rows, shape[3]});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

Variable spatial_gate(Tape& tape, const Variable& x, const Variable& logits) {
  TESSERA_CHECK(x.shape().rank() == 4 && logits.shape() == (Shape{x.extent(0), x.extent(1), x.extent(2), 1}),
                "spatial_gate: logits {} for {}", logits.shape().to_string(), x.shape().to_string());
  const int64_t rows = logits.value.elements(), channels = x.extent(3);
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "spatial_gate");
  dispatch(tape.context(), [&](auto& backend) {
    spatial_gate_forward(backend, {x.value.data<float>(), logits.value.data<float>(), y.data<float>(), rows, channels});
  });
  return tape.record("spatial_gate", {x, logits}, y, {logits.needs_gradient() ? x.value : Tensor(), logits.value},
                     [rows, channels](BackwardPass& pass) {
                       const Tensor dy = pass.output_gradient();
                       const Tensor& of_pixels = pass.saved(1);
                       const bool learns = pass.needs_gradient(1);
                       Tensor dx, dlogits;
                       if (pass.needs_gradient(0))
                         dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
                       if (learns) dlogits = Tensor::empty(pass.context(), of_pixels.shape(), DType::f32, "gradient");
                       dispatch(pass.context(), [&](auto& backend) {
                         spatial_gate_backward(backend,
                                               {learns ? pass.saved(0).data<float>() : nullptr, of_pixels.data<float>(),
                                                dy.data<float>(), dx.defined() ? dx.data<float>() : nullptr,
                                                learns ? dlogits.data<float>() : nullptr, rows, channels});
                       });
                       if (dx.defined()) pass.add_gradient(0, std::move(dx));
                       if (learns) pass.add_gradient(1, std::move(dlogits));
                     });
}

}  // namespace tessera
