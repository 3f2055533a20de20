#include "engine/ops/iou_loss.h"

#include "engine/core/dispatch.h"
#include "engine/ops/loss_record.h"

namespace tessera {

namespace {

void check_rows(const Tensor& predicted, const Tensor& target) {
  TESSERA_CHECK(predicted.shape().rank() == 2 && predicted.extent(1) == 4 && target.shape() == predicted.shape(),
                "predicted {}, target {}", predicted.shape().to_string(), target.shape().to_string());
}

}  // namespace

Variable iou_loss(Tape& tape, const Variable& predicted, const Tensor& target, const Tensor& weights,
                  const IouLossOptions& options) {
  check_rows(predicted.value, target);
  const int64_t rows = predicted.extent(0);
  TESSERA_CHECK(weights.elements() == rows, "weights {} for {} boxes", weights.shape().to_string(), rows);
  TESSERA_CHECK(options.normalizer > 0, "normalizer {}", options.normalizer);
  Tensor loss = Tensor::empty(tape.context(), {1}, DType::f32, "loss");
  Tensor gradient;
  if (tape.will_record({predicted}))
    gradient = Tensor::empty(tape.context(), predicted.shape(), DType::f32, "gradient");
  dispatch(tape.context(), [&](auto& backend) {
    iou_loss(backend,
             {predicted.value.data<float>(), target.data<float>(), weights.data<float>(), loss.data<float>(),
              gradient.defined() ? gradient.data<float>() : nullptr, rows, options.kind,
              options.torchvision ? 0.0f : 1.0f, options.torchvision ? 1e-7f : 0.0f, 1.0f / options.normalizer});
  });
  return record_loss(tape, "iou_loss", {predicted}, loss, {gradient});
}

Tensor distance_iou(Context& context, const Tensor& predicted, const Tensor& target) {
  check_rows(predicted, target);
  Tensor iou = Tensor::empty(context, {predicted.extent(0)}, DType::f32, "iou");
  dispatch(context, [&](auto& backend) {
    distance_iou(backend, {predicted.data<float>(), target.data<float>(), iou.data<float>(), iou.elements()});
  });
  return iou;
}

}  // namespace tessera
