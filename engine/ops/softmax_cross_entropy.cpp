#include "engine/ops/softmax_cross_entropy.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"
#include "kernels/softmax_cross_entropy.h"

namespace tessera {

Variable softmax_cross_entropy(Tape& tape, const Variable& logits, const Tensor& labels, float normalizer) {
  TESSERA_CHECK(logits.shape().rank() == 2 && logits.extent(1) > 0 && labels.shape() == Shape{logits.extent(0)},
                "logits {}, labels {}", logits.shape().to_string(), labels.shape().to_string());
  TESSERA_CHECK(normalizer > 0, "normalizer {}", normalizer);
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({logits})) gradient = Tensor::empty(tape.context(), logits.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    softmax_cross_entropy(
        backend, SoftmaxCrossEntropyArgs{logits.value.data<float>(), labels.data<int32_t>(), loss.data<float>(),
                                         gradient.defined() ? gradient.data<float>() : nullptr, logits.extent(0),
                                         logits.extent(1), 1.0f / normalizer});
  });
  return record_loss(tape, "softmax_cross_entropy", {logits}, loss, {gradient});
}

Tensor softmax(Context& context, const Tensor& logits, int64_t kept) {
  TESSERA_CHECK(logits.shape().rank() == 2 && kept > 0 && kept <= logits.extent(1), "{} of logits {}", kept,
                logits.shape().to_string());
  Tensor probabilities = Tensor::empty(context, {logits.extent(0), kept}, DType::f32, "softmax");
  dispatch(context, [&](auto& backend) {
    softmax(backend,
            SoftmaxArgs{logits.data<float>(), probabilities.data<float>(), logits.extent(0), logits.extent(1), kept});
  });
  return probabilities;
}

}  // namespace tessera
