#include "engine/ops/max_pool.h"

#include "engine/core/dispatch.h"
#include "kernels/max_pool.h"

namespace tessera {

Variable max_pool(Tape& tape, const Variable& x, const MaxPoolOptions& options) {
  TESSERA_CHECK(x.shape().rank() == 4, "max_pool: map {}", x.shape().to_string());
  TESSERA_CHECK(options.window >= 1 && options.window <= 15 && options.stride >= 1 && options.padding >= 0 &&
                    2 * options.padding <= options.window,
                "max_pool: window {} stride {} padding {}", options.window, options.stride, options.padding);
  const auto out_extent = [&](int64_t extent) {
    const int64_t room = extent + 2 * options.padding - options.window;
    return room < 0 ? 0 : room / options.stride + 1;
  };
  const MaxPoolShape shape{
      x.extent(0),    x.extent(1),    x.extent(2),    x.extent(3), out_extent(x.extent(1)), out_extent(x.extent(2)),
      options.window, options.stride, options.padding};
  const Shape y_shape{shape.images, shape.out_height, shape.out_width, shape.channels};
  Tensor y = Tensor::empty(tape.context(), y_shape, DType::f32, "max_pool");
  Tensor winner;
  if (tape.will_record({x})) winner = Tensor::empty(tape.context(), y_shape, DType::u8, "max_pool");
  dispatch(tape.context(), [&](auto& backend) {
    max_pool_forward(
        backend, {shape, x.value.data<float>(), y.data<float>(), winner.defined() ? winner.data<uint8_t>() : nullptr});
  });
  return tape.record("max_pool", {x}, y, {winner}, [shape](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), {shape.images, shape.height, shape.width, shape.channels}, DType::f32,
                              "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      max_pool_backward(backend, {shape, pass.saved(0).template data<uint8_t>(), dy.data<float>(), dx.data<float>()});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

}  // namespace tessera
