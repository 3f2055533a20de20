#include "engine/ops/focal_loss.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/focal_loss.h"

namespace tessera {

Variable sigmoid_focal_loss(Tape& tape, const Variable& logits, const Tensor& labels, const FocalLossOptions& options) {
  TESSERA_CHECK(logits.shape().rank() == 2 && labels.shape() == Shape{logits.extent(0)}, "logits {}, labels {}",
                logits.shape().to_string(), labels.shape().to_string());
  TESSERA_CHECK(options.normalizer > 0, "normalizer {}", options.normalizer);
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({logits})) gradient = Tensor::empty(tape.context(), logits.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    focal_loss(backend, {logits.value.data<float>(), labels.data<int32_t>(), loss.data<float>(),
                         gradient.defined() ? gradient.data<float>() : nullptr, logits.extent(0), logits.extent(1),
                         options.alpha, options.gamma, 1.0f / options.normalizer});
  });
  return record_loss(tape, "sigmoid_focal_loss", {logits}, loss, {gradient});
}

}  // namespace tessera
