#include "engine/ops/binary_cross_entropy.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/binary_cross_entropy.h"

namespace tessera {

Variable binary_cross_entropy_with_logits(Tape& tape, const Variable& logits, const Tensor& targets, float normalizer) {
  TESSERA_CHECK(logits.value.elements() == targets.elements(), "logits {}, targets {}", logits.shape().to_string(),
                targets.shape().to_string());
  TESSERA_CHECK(normalizer > 0, "normalizer {}", normalizer);
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({logits})) gradient = Tensor::empty(tape.context(), logits.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    binary_cross_entropy(
        backend, {logits.value.data<float>(), targets.data<float>(), loss.data<float>(),
                  gradient.defined() ? gradient.data<float>() : nullptr, targets.elements(), 1.0f / normalizer});
  });
  return record_loss(tape, "binary_cross_entropy", {logits}, loss, {gradient});
}

}  // namespace tessera
