#include "engine/ops/grid_segmentation_loss.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/grid_segmentation_loss.h"

namespace tessera {

Variable grid_segmentation_loss(Tape& tape, const Variable& pixels, const Variable& objects,
                                const GridSegmentationTargets& targets, const GridSegmentationOptions& options) {
  TESSERA_CHECK(pixels.shape().rank() == 4, "pixels {}", pixels.shape().to_string());
  const int64_t images = pixels.extent(0), height = pixels.extent(1), width = pixels.extent(2);
  const int64_t channels = pixels.extent(3), boxes = objects.extent(0);
  TESSERA_CHECK(channels >= 1, "{} channels", channels);
  TESSERA_CHECK(options.k >= 1 && objects.shape() == Shape({boxes, 2 * options.k * options.k * channels}),
                "objects {} for k = {} and {} channels", objects.shape().to_string(), options.k, channels);
  TESSERA_CHECK(targets.boxes.shape() == Shape({boxes, 4}), "boxes {}", targets.boxes.shape().to_string());
  TESSERA_CHECK(targets.image_of.elements() == boxes && targets.mask_of.elements() == boxes, "{} and {} indices",
                targets.image_of.elements(), targets.mask_of.elements());
  const Shape& masks = targets.masks.shape();
  TESSERA_CHECK(masks.rank() == 3 && masks[1] == height && masks[2] == width, "masks {}", masks.to_string());
  TESSERA_CHECK(options.normalizer > 0 && options.stride > 0, "normalizer {}, stride {}", options.normalizer,
                options.stride);

  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor pixel_gradient, object_gradient;
  if (tape.will_record({pixels, objects})) {
    pixel_gradient = Tensor::empty(tape.context(), pixels.shape(), DType::f32, "gradient");
    object_gradient = Tensor::empty(tape.context(), objects.shape(), DType::f32, "gradient");
  }
  dispatch(tape.context(), [&](auto& backend) {
    GridSegmentationLossArgs args{};
    args.pixels = pixels.value.data<float>();
    args.objects = objects.value.data<float>();
    args.corners = targets.boxes.data<float>();
    args.image_of = targets.image_of.data<int32_t>();
    args.mask_of = targets.mask_of.data<int32_t>();
    args.masks = targets.masks.data<uint8_t>();
    args.loss = loss.data<float>();
    args.pixel_gradient = pixel_gradient.defined() ? pixel_gradient.data<float>() : nullptr;
    args.object_gradient = object_gradient.defined() ? object_gradient.data<float>() : nullptr;
    args.images = images;
    args.height = height;
    args.width = width;
    args.channels = channels;
    args.boxes = boxes;
    args.k = options.k;
    args.alpha = options.alpha;
    args.stride = options.stride;
    args.scale = 1.0f / options.normalizer;
    args.literal_cell_norm = options.literal_cell_norm;
    grid_segmentation_loss(backend, args);
  });
  return record_loss(tape, "grid_segmentation_loss", {pixels, objects}, loss, {pixel_gradient, object_gradient});
}

}  // namespace tessera
