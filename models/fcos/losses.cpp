#include "models/fcos/losses.h"

#include <algorithm>
#include <span>

#include "engine/ops/binary_cross_entropy.h"
#include "engine/ops/focal_loss.h"
#include "engine/ops/row_gather.h"

namespace tessera {

FcosLosses fcos_losses(Tape& tape, const FcosOutput& output, const FcosTargets& targets, const FcosConfig& config) {
  Context& context = tape.context();
  const int64_t count = static_cast<int64_t>(targets.positives.size());
  std::vector<int32_t> rows;
  std::vector<float> distances, centerness;
  double centerness_sum = 0;
  for (const PositiveCell& cell : targets.positives) {
    rows.push_back(cell.row);
    distances.insert(distances.end(), std::begin(cell.distances), std::end(cell.distances));
    centerness.push_back(cell.centerness);
    centerness_sum += cell.centerness;
  }
  const float positives = static_cast<float>(std::max<int64_t>(count, 1));

  FcosLosses losses;
  const Tensor labels =
      Tensor::from_host<int32_t>(context, {static_cast<int64_t>(targets.labels.size())}, targets.labels, "targets");
  losses.classification = sigmoid_focal_loss(tape, output.logits.rows, labels, {.normalizer = positives});

  const Tensor index = Tensor::from_host<int32_t>(context, {count}, rows, "targets");
  const Tensor target = Tensor::from_host<float>(context, {count, 4}, distances, "targets");
  const Variable predicted = row_gather(tape, output.distances.rows, index);
  Tensor quality = Tensor::from_host<float>(context, {count}, centerness, "targets");
  Tensor weights = quality;
  float box_normalizer = std::max(static_cast<float>(centerness_sum), 1e-6f);
  if (config.box_quality == BoxQuality::iou) quality = distance_iou(context, predicted.value, target);
  if (config.box_quality == BoxQuality::iou || config.box_weight == BoxWeight::none) {
    weights =
        Tensor::from_host<float>(context, {count}, std::vector<float>(static_cast<size_t>(count), 1.0f), "targets");
    box_normalizer = positives;
  }
  losses.box =
      iou_loss(tape, predicted, target, weights,
               {.kind = config.box_loss, .normalizer = box_normalizer, .torchvision = !config.box_loss_plus_one});
  losses.centerness =
      binary_cross_entropy_with_logits(tape, row_gather(tape, output.centerness.rows, index), quality, positives);
  return losses;
}

}  // namespace tessera
