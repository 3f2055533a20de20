#include "engine/ops/channel_affine.h"

#include "engine/core/dispatch.h"
#include "kernels/channel_affine.h"

namespace tessera {

Variable channel_affine(Tape& tape, const Variable& x, const Tensor& scale, const Tensor& shift, bool relu) {
  const int64_t channels = x.shape().back();
  TESSERA_CHECK(scale.shape() == Shape{channels} && shift.shape() == Shape{channels}, "scale {}, shift {}, x {}",
                scale.shape().to_string(), shift.shape().to_string(), x.shape().to_string());
  const int64_t rows = channels > 0 ? x.value.elements() / channels : 0;
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "channel_affine");
  dispatch(tape.context(), [&](auto& backend) {
    channel_affine_forward(backend, {x.value.data<float>(), scale.data<float>(), shift.data<float>(), y.data<float>(),
                                     rows, channels, relu});
  });
  std::vector<Tensor> saved = {scale};
  if (relu) saved.push_back(y);
  return tape.record("channel_affine", {x}, y, std::move(saved), [rows, channels, relu](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      channel_affine_backward(backend, {relu ? pass.saved(1).data<float>() : nullptr, pass.saved(0).data<float>(),
                                        dy.data<float>(), dx.data<float>(), rows, channels});
    });
    pass.add_gradient(0, dx);
  });
}

}  // namespace tessera
