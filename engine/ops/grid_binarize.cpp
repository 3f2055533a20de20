#include "engine/ops/grid_binarize.h"

#include "engine/core/dispatch.h"

namespace tessera {

int64_t largest_need(int64_t boxes, const GridBinarizeOptions& options) {
  return boxes * (options.original_height * ((options.original_width + 7) / 8) + 96);
}

GridMasks grid_binarize(Context& context, const Tensor& pixels, const Tensor& objects, const Tensor& boxes,
                        const Tensor& valid, const GridBinarizeOptions& options) {
  const Shape& map = pixels.shape();
  TESSERA_CHECK(map.rank() == 3 || (map.rank() == 4 && map[0] == 1), "pixels {}", map.to_string());
  const int64_t height = map[map.rank() - 3], width = map[map.rank() - 2], channels = map.back();
  const int64_t count = boxes.extent(0);
  TESSERA_CHECK(boxes.shape() == Shape({count, 4}), "boxes {}", boxes.shape().to_string());
  TESSERA_CHECK(options.k >= 1 && objects.shape() == Shape({count, 2 * options.k * options.k * channels}),
                "objects {} for k = {} and {} channels", objects.shape().to_string(), options.k, channels);
  TESSERA_CHECK(!valid.defined() || valid.elements() == 1, "valid {}", valid.shape().to_string());
  TESSERA_CHECK(height >= 1 && width >= 1 && channels >= 1, "pixels {}", map.to_string());
  TESSERA_CHECK(options.original_height >= 1 && options.original_width >= 1 && options.resized_height >= 1 &&
                    options.resized_width >= 1 && options.stride > 0,
                "picture {} x {}, resized {} x {}, stride {}", options.original_height, options.original_width,
                options.resized_height, options.resized_width, options.stride);

  GridMasks masks{Tensor::empty(context, {count, 4}, DType::i32, "masks"),
                  Tensor::empty(context, {count + 1}, DType::i64, "masks"),
                  {}};
  const auto rectangles = [&] { return reinterpret_cast<PixelRectangle*>(masks.rectangles.data<int32_t>()); };
  dispatch(context, [&](auto& backend) {
    grid_binarize_plan(backend, {boxes.data<float>(), valid.defined() ? valid.data<int32_t>() : nullptr, rectangles(),
                                 masks.offsets.data<int64_t>(), count, options.original_height, options.original_width,
                                 options.capacity > 0 ? options.capacity : -1});
  });
  int64_t capacity = options.capacity;
  if (capacity == 0) {
    capacity = context.backend() == Backend::plan ? largest_need(count, options)
                                                  : masks.offsets.slice(count, count + 1).to_host<int64_t>(context)[0];
  }
  masks.bits = Tensor::empty(context, {capacity}, DType::u8, "masks");
  dispatch(context, [&](auto& backend) {
    GridBinarizeArgs args{};
    args.pixels = pixels.data<float>();
    args.objects = objects.data<float>();
    args.boxes = boxes.data<float>();
    args.rectangles = rectangles();
    args.offsets = masks.offsets.data<int64_t>();
    args.bits = masks.bits.data<uint8_t>();
    args.height = height;
    args.width = width;
    args.channels = channels;
    args.count = count;
    args.original_height = options.original_height;
    args.original_width = options.original_width;
    args.resized_height = options.resized_height;
    args.resized_width = options.resized_width;
    args.k = options.k;
    args.stride = options.stride;
    grid_binarize(backend, args);
  });
  return masks;
}

}  // namespace tessera
