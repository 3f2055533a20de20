#include "engine/ops/position_add.h"

#include "engine/core/dispatch.h"
#include "kernels/position_add.h"

namespace tessera {

Variable position_add(Tape& tape, const Variable& x, const Variable& row, const Variable& column) {
  TESSERA_CHECK(x.shape().rank() == 4, "map of shape {}", x.shape().to_string());
  const int64_t images = x.extent(0), height = x.extent(1), width = x.extent(2), channels = x.extent(3);
  TESSERA_CHECK(row.shape() == (Shape{height, channels}) && column.shape() == (Shape{width, channels}),
                "rows {} and columns {} for {}", row.shape().to_string(), column.shape().to_string(),
                x.shape().to_string());
  Tensor y = Tensor::empty(tape.context(), x.shape(), DType::f32, "position_add");
  dispatch(tape.context(), [&](auto& backend) {
    position_add_forward(backend, {x.value.data<float>(), row.value.data<float>(), column.value.data<float>(),
                                   y.data<float>(), images, height, width, channels});
  });
  return tape.record("position_add", {x, row, column}, y, {}, [=](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor drow, dcolumn;
    if (pass.needs_gradient(1)) drow = Tensor::empty(pass.context(), {height, channels}, DType::f32, "gradient");
    if (pass.needs_gradient(2)) dcolumn = Tensor::empty(pass.context(), {width, channels}, DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      position_add_backward(backend,
                            {dy.data<float>(), drow.defined() ? drow.data<float>() : nullptr,
                             dcolumn.defined() ? dcolumn.data<float>() : nullptr, images, height, width, channels});
    });
    pass.add_gradient(0, dy);
    if (drow.defined()) pass.add_gradient(1, std::move(drow));
    if (dcolumn.defined()) pass.add_gradient(2, std::move(dcolumn));
  });
}

}  // namespace tessera
