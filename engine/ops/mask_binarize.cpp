#include "engine/ops/mask_binarize.h"

#include "engine/core/dispatch.h"
#include "kernels/mask_binarize.h"

namespace tessera {

BinaryMasks mask_binarize(Context& context, const Tensor& logits, float threshold) {
  TESSERA_CHECK(logits.shape().rank() == 2, "logits {}", logits.shape().to_string());
  const int64_t count = logits.extent(0), pixels = logits.extent(1);
  BinaryMasks masks;
  masks.words = Tensor::empty(context, {count, (pixels + 63) / 64}, DType::i64, "mask_binarize");
  masks.areas = Tensor::empty(context, {count}, DType::i32, "mask_binarize");
  masks.maskness = Tensor::empty(context, {count}, DType::f32, "mask_binarize");
  dispatch(context, [&](auto& backend) {
    mask_binarize(backend,
                  MaskBinarizeArgs{logits.data<float>(), masks.words.data<int64_t>(), masks.areas.data<int32_t>(),
                                   masks.maskness.data<float>(), count, pixels, threshold});
  });
  return masks;
}

}  // namespace tessera
