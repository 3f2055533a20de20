#include "engine/ops/channel_attention.h"

#include "engine/core/dispatch.h"
#include "kernels/channel_attention.h"

namespace tessera {

Variable channel_pool(Tape& tape, const Variable& x) {
  TESSERA_CHECK(x.shape().rank() == 4 && x.extent(1) * x.extent(2) > 0, "map of shape {}", x.shape().to_string());
  const int64_t images = x.extent(0), pixels = x.extent(1) * x.extent(2), channels = x.extent(3);
  Tensor y = Tensor::empty(tape.context(), {2 * images, channels}, DType::f32, "channel_pool");
  const Tensor winners = Tensor::empty(tape.context(), {images, channels}, DType::i32, "channel_pool winners");
  dispatch(tape.context(), [&](auto& backend) {
    channel_pool_forward(backend,
                         {x.value.data<float>(), y.data<float>(), winners.data<int32_t>(), images, pixels, channels});
  });
  return tape.record("channel_pool", {x}, y, {winners}, [shape = x.shape(), pixels](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), shape, DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      channel_pool_backward(
          backend, {dy.data<float>(), pass.saved(0).data<int32_t>(), dx.data<float>(), shape[0], pixels, shape[3]});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

Variable channel_gate(Tape& tape, const Variable& x, const Variable& logits) {
  TESSERA_CHECK(
      x.shape().rank() == 4 && logits.shape().rank() == 2 && x.extent(3) == logits.extent(1) &&
          (x.extent(0) == 0 ? logits.extent(0) == 0 : logits.extent(0) > 0 && logits.extent(0) % x.extent(0) == 0),
      "channel_gate: logits {} for {}", logits.shape().to_string(), x.shape().to_string());
  const int64_t images = x.extent(0), pixels = x.extent(1) * x.extent(2), channels = x.extent(3);
  const int64_t sets = images == 0 ? 0 : logits.extent(0) / images;
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "channel_gate");
  const Tensor gate = Tensor::empty(tape.context(), {images, channels}, DType::f32, "channel_gate");
  dispatch(tape.context(), [&](auto& backend) {
    channel_gate_forward(backend, {x.value.data<float>(), logits.value.data<float>(), gate.data<float>(),
                                   y.data<float>(), sets, images, pixels, channels});
  });
  return tape.record("channel_gate", {x, logits}, y, {logits.needs_gradient() ? x.value : Tensor(), gate},
                     [sets, images, pixels, channels, logits_shape = logits.shape()](BackwardPass& pass) {
                       const Tensor dy = pass.output_gradient();
                       const bool learns = pass.needs_gradient(1);
                       Tensor dx, dlogits;
                       if (pass.needs_gradient(0))
                         dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
                       if (learns) dlogits = Tensor::empty(pass.context(), logits_shape, DType::f32, "gradient");
                       dispatch(pass.context(), [&](auto& backend) {
                         channel_gate_backward(
                             backend, {learns ? pass.saved(0).data<float>() : nullptr, pass.saved(1).data<float>(),
                                       dy.data<float>(), dx.defined() ? dx.data<float>() : nullptr,
                                       learns ? dlogits.data<float>() : nullptr, sets, images, pixels, channels});
                       });
                       if (dx.defined()) pass.add_gradient(0, std::move(dx));
                       if (learns) pass.add_gradient(1, std::move(dlogits));
                     });
}

}  // namespace tessera
