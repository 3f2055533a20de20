#include "engine/ops/layer_norm.h"

#include "engine/core/dispatch.h"
#include "kernels/layer_norm.h"

namespace tessera {

Variable layer_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias, float epsilon) {
  TESSERA_CHECK(x.shape().rank() >= 1 && x.shape().back() >= 1 && weight.shape() == Shape{x.shape().back()} &&
                    bias.shape() == weight.shape(),
                "layer_norm: weight {}, bias {} for {}", weight.shape().to_string(), bias.shape().to_string(),
                x.shape().to_string());
  const int64_t channels = x.shape().back(), rows = x.value.elements() / channels;
  Context& context = tape.context();
  Tensor y = Tensor::empty(context, x.shape(), DType::f32, "layer_norm");
  const Tensor mean = Tensor::empty(context, {rows}, DType::f32, "layer_norm statistics");
  const Tensor rstd = Tensor::empty(context, {rows}, DType::f32, "layer_norm statistics");
  dispatch(context, [&](auto& backend) {
    layer_norm_forward(backend, {x.value.data<float>(), weight.value.data<float>(), bias.value.data<float>(),
                                 y.data<float>(), mean.data<float>(), rstd.data<float>(), rows, channels, epsilon});
  });
  return tape.record(
      "layer_norm", {x, weight, bias}, y, {x.value, weight.value, mean, rstd}, [rows, channels](BackwardPass& pass) {
        const Tensor dy = pass.output_gradient();
        const auto wanted = [&](size_t input, const Shape& shape) {
          return pass.needs_gradient(input) ? Tensor::empty(pass.context(), shape, DType::f32, "gradient") : Tensor();
        };
        const auto data = [](const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; };
        const Tensor dx = wanted(0, dy.shape()), dweight = wanted(1, {channels}), dbias = wanted(2, {channels});
        dispatch(pass.context(), [&](auto& backend) {
          layer_norm_backward(backend, {pass.saved(0).data<float>(), pass.saved(1).data<float>(),
                                        pass.saved(2).data<float>(), pass.saved(3).data<float>(), dy.data<float>(),
                                        data(dx), data(dweight), data(dbias), rows, channels});
        });
        if (dx.defined()) pass.add_gradient(0, dx);
        if (dweight.defined()) pass.add_gradient(1, dweight);
        if (dbias.defined()) pass.add_gradient(2, dbias);
      });
}

}  // namespace tessera
