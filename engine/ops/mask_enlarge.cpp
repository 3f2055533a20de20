#include "engine/ops/mask_enlarge.h"

#include "engine/core/dispatch.h"
#include "kernels/mask_enlarge.h"

namespace tessera {

Tensor mask_enlarge(Context& context, const Tensor& logits, const MaskEnlargeOptions& options) {
  TESSERA_CHECK(logits.shape().rank() == 3 && logits.extent(1) > 0 && logits.extent(2) > 0, "logits {}",
                logits.shape().to_string());
  const int64_t height = logits.extent(1), width = logits.extent(2);
  TESSERA_CHECK(options.cut_height > 0 && options.cut_height <= options.stride * height && options.cut_width > 0 &&
                    options.cut_width <= options.stride * width && options.out_height > 0 && options.out_width > 0,
                "{}x{} of {} enlarged {} times, to {}x{}", options.cut_height, options.cut_width,
                logits.shape().to_string(), options.stride, options.out_height, options.out_width);
  const Tensor bits = Tensor::empty(context, {logits.extent(0), options.out_height, (options.out_width + 7) / 8},
                                    DType::u8, "mask_enlarge");
  dispatch(context, [&](auto& backend) {
    mask_enlarge(backend, MaskEnlargeArgs{logits.data<float>(), bits.data<uint8_t>(), logits.extent(0), height, width,
                                          options.stride, options.cut_height, options.cut_width, options.out_height,
                                          options.out_width, options.threshold});
  });
  return bits;
}

}  // namespace tessera
