#include "engine/ops/dice_loss.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/dice_loss.h"

namespace tessera {

Variable dice_loss(Tape& tape, const Variable& logits, const Tensor& targets, const Tensor& index,
                   const DiceLossOptions& options) {
  TESSERA_CHECK(logits.shape().rank() == 3, "logits {}", logits.shape().to_string());
  const int64_t masks = logits.extent(0), pixels = logits.extent(1) * logits.extent(2);
  TESSERA_CHECK(targets.shape().rank() == 2 && targets.extent(1) == (pixels + 31) / 32 && index.elements() == masks &&
                    (masks == 0 || targets.extent(0) > 0),
                "dice_loss: logits {}, targets {}, {} indices", logits.shape().to_string(), targets.shape().to_string(),
                index.elements());
  TESSERA_CHECK(options.normalizer > 0, "normalizer {}", options.normalizer);
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({logits})) gradient = Tensor::empty(tape.context(), logits.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    dice_loss(backend, DiceLossArgs{logits.value.data<float>(), targets.data<int32_t>(), index.data<int32_t>(),
                                    loss.data<float>(), gradient.defined() ? gradient.data<float>() : nullptr, masks,
                                    pixels, 1.0f / options.normalizer, options.squared});
  });
  return record_loss(tape, "dice_loss", {logits}, loss, {gradient});
}

}  // namespace tessera
