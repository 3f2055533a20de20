#include "engine/ops/row_gather.h"

#include "engine/core/dispatch.h"
#include "kernels/row_gather.h"

namespace tessera {

Variable row_gather(Tape& tape, const Variable& x, const Tensor& index) {
  TESSERA_CHECK(x.shape().rank() == 2 && index.shape().rank() == 1, "rows {} of {}", index.shape().to_string(),
                x.shape().to_string());
  const int64_t rows = x.extent(0), count = index.extent(0), channels = x.extent(1);
  Tensor y = Tensor::empty(tape.context(), {count, channels}, DType::f32, "row_gather");
  dispatch(tape.context(), [&](auto& backend) {
    row_gather_forward(backend, {x.value.data<float>(), index.data<int32_t>(), y.data<float>(), rows, count, channels});
  });
  return tape.record("row_gather", {x}, y, {index}, [rows, count, channels](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), {rows, channels}, DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      row_gather_backward(backend,
                          {dy.data<float>(), pass.saved(0).data<int32_t>(), dx.data<float>(), rows, count, channels});
    });
    pass.add_gradient(0, dx);
  });
}

}  // namespace tessera
