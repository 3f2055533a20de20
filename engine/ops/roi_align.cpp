#include "engine/ops/roi_align.h"

#include "engine/core/dispatch.h"
#include "kernels/roi_align.h"

namespace tessera {

Variable roi_align(Tape& tape, const Variable& x, const Tensor& boxes, const Tensor& image_of,
                   const RoiAlignOptions& options) {
  TESSERA_CHECK(x.shape().rank() == 4 && x.extent(1) > 0 && x.extent(2) > 0, "roi_align: map {}",
                x.shape().to_string());
  TESSERA_CHECK(boxes.shape().rank() == 2 && boxes.extent(1) == 4 && image_of.shape() == Shape{boxes.extent(0)},
                "roi_align: boxes {}, images {}", boxes.shape().to_string(), image_of.shape().to_string());
  TESSERA_CHECK(options.out_height > 0 && options.out_width > 0 && options.sampling_ratio >= 0,
                "roi_align: output {}x{}, sampling ratio {}", options.out_height, options.out_width,
                options.sampling_ratio);
  const RoiAlignShape shape{x.extent(0),       x.extent(1),     x.extent(2),
                            x.extent(3),       boxes.extent(0), options.out_height,
                            options.out_width, options.scale,   options.sampling_ratio,
                            options.aligned};
  Tensor y = Tensor::empty(tape.context(), {shape.regions, shape.out_height, shape.out_width, shape.channels},
                           DType::f32, "roi_align");
  dispatch(tape.context(), [&](auto& backend) {
    roi_align_forward(backend, RoiAlignForwardArgs{shape, x.value.data<float>(), boxes.data<float>(),
                                                   image_of.data<int32_t>(), y.data<float>()});
  });
  return tape.record("roi_align", {x}, y, {boxes, image_of}, [shape](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    Tensor dx = Tensor::empty(pass.context(), {shape.images, shape.height, shape.width, shape.channels}, DType::f32,
                              "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      roi_align_backward(
          backend, RoiAlignBackwardArgs{shape, pass.saved(0).template data<float>(),
                                        pass.saved(1).template data<int32_t>(), dy.data<float>(), dx.data<float>()});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

}  // namespace tessera
