#include "engine/ops/resize.h"

#include "engine/core/dispatch.h"
#include "kernels/resize.h"

namespace tessera {

namespace {

ResizeExtents extents_of(const Variable& x, int64_t height, int64_t width) {
  const Shape& shape = x.shape();
  TESSERA_CHECK(shape.rank() == 4 && shape[1] > 0 && shape[2] > 0, "map of shape {}", shape.to_string());
  TESSERA_CHECK(height > 0 && width > 0, "to {} x {}", height, width);
  return {shape[0], shape[1], shape[2], height, width, shape[3]};
}

Tensor empty_output(Context& context, const ResizeExtents& at, const char* name) {
  return Tensor::empty(context, {at.images, at.out_height, at.out_width, at.channels}, DType::f32, name);
}

Tensor empty_gradient(Context& context, const ResizeExtents& at) {
  return Tensor::empty(context, {at.images, at.in_height, at.in_width, at.channels}, DType::f32, "gradient");
}

void add_nearest_gradient(BackwardPass& pass, const ResizeExtents& extents) {
  if (!pass.needs_gradient(0)) return;
  const Tensor dy = pass.output_gradient();
  Tensor dx = empty_gradient(pass.context(), extents);
  dispatch(pass.context(), [&](auto& backend) {
    resize_nearest_backward(backend, {dy.data<float>(), dx.data<float>(), extents});
  });
  pass.add_gradient(0, dx);
}

}  // namespace

Variable resize_bilinear(Tape& tape, const Variable& x, int64_t height, int64_t width) {
  const ResizeExtents extents = extents_of(x, height, width);
  Tensor y = empty_output(tape.context(), extents, "resize_bilinear");
  dispatch(tape.context(), [&](auto& backend) {
    resize_bilinear_forward(backend, {x.value.data<float>(), nullptr, y.data<float>(), extents});
  });
  return tape.record("resize_bilinear", {x}, y, {}, [extents](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = empty_gradient(pass.context(), extents);
    dispatch(pass.context(), [&](auto& backend) {
      resize_bilinear_backward(backend, {dy.data<float>(), dx.data<float>(), extents});
    });
    pass.add_gradient(0, dx);
  });
}

Variable resize_nearest(Tape& tape, const Variable& x, int64_t height, int64_t width) {
  const ResizeExtents extents = extents_of(x, height, width);
  Tensor y = empty_output(tape.context(), extents, "resize_nearest");
  dispatch(tape.context(), [&](auto& backend) {
    resize_nearest_forward(backend, {x.value.data<float>(), nullptr, y.data<float>(), extents});
  });
  return tape.record("resize_nearest", {x}, y, {},
                     [extents](BackwardPass& pass) { add_nearest_gradient(pass, extents); });
}

Variable resize_nearest_add(Tape& tape, const Variable& coarse, const Variable& fine) {
  TESSERA_CHECK(fine.shape().rank() == 4 && coarse.shape().rank() == 4 && coarse.extent(0) == fine.extent(0) &&
                    coarse.extent(3) == fine.extent(3),
                "{} onto {}", coarse.shape().to_string(), fine.shape().to_string());
  const ResizeExtents extents = extents_of(coarse, fine.extent(1), fine.extent(2));
  Tensor y = empty_output(tape.context(), extents, "resize_nearest_add");
  dispatch(tape.context(), [&](auto& backend) {
    resize_nearest_forward(backend, {coarse.value.data<float>(), fine.value.data<float>(), y.data<float>(), extents});
  });
  return tape.record("resize_nearest_add", {coarse, fine}, y, {}, [extents](BackwardPass& pass) {
    add_nearest_gradient(pass, extents);
    pass.add_gradient(1, pass.output_gradient());
  });
}

}  // namespace tessera
