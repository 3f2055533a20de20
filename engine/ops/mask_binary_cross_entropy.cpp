#include "engine/ops/mask_binary_cross_entropy.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/mask_binary_cross_entropy.h"

namespace tessera {

Variable mask_binary_cross_entropy(Tape& tape, const Variable& logits, const Tensor& targets, const Tensor& index,
                                   float normalizer) {
  TESSERA_CHECK(logits.shape().rank() == 3, "logits {}", logits.shape().to_string());
  const int64_t masks = logits.extent(0), pixels = logits.extent(1) * logits.extent(2);
  TESSERA_CHECK(targets.shape().rank() == 2 && targets.extent(1) == (pixels + 31) / 32 && index.elements() == masks &&
                    (masks == 0 || targets.extent(0) > 0),
                "mask_binary_cross_entropy: logits {}, targets {}, {} indices", logits.shape().to_string(),
                targets.shape().to_string(), index.elements());
  TESSERA_CHECK(normalizer > 0, "normalizer {}", normalizer);
  const float scale = 1.0f / (normalizer * static_cast<float>(std::max<int64_t>(1, pixels)));
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({logits})) gradient = Tensor::empty(tape.context(), logits.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    mask_binary_cross_entropy(
        backend, MaskBinaryCrossEntropyArgs{logits.value.data<float>(), targets.data<int32_t>(), index.data<int32_t>(),
                                            loss.data<float>(), gradient.defined() ? gradient.data<float>() : nullptr,
                                            masks, pixels, scale});
  });
  return record_loss(tape, "mask_binary_cross_entropy", {logits}, loss, {gradient});
}

}  // namespace tessera
