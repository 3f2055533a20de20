#include "models/anchor_free/losses.h"

#include <numeric>

#include "engine/ops/binary_cross_entropy.h"
#include "engine/ops/dice_loss.h"
#include "engine/ops/dynamic_conv.h"
#include "engine/ops/focal_loss.h"
#include "engine/ops/mask_binary_cross_entropy.h"
#include "engine/ops/reshape.h"
#include "engine/ops/resize.h"
#include "engine/ops/row_gather.h"
#include "engine/ops/scale.h"
#include "engine/ops/softmax_cross_entropy.h"

namespace tessera {

Variable class_loss(Tape& tape, const CellPredictions& cells, const GridTargets& targets,
                    const AnchorFreeConfig& config) {
  const auto rows = static_cast<int64_t>(targets.labels.size());
  const Tensor labels = Tensor::from_host<int32_t>(tape.context(), {rows}, targets.labels, "targets");
  const Variable loss =
      config.class_loss == ClassLoss::focal
          ? sigmoid_focal_loss(tape, cells.logits, labels, {.normalizer = static_cast<float>(targets.positives + 1)})
          : softmax_cross_entropy(tape, cells.logits, labels, static_cast<float>(rows));
  return scale(tape, loss, config.class_weight);
}

Variable pair_loss(Tape& tape, const CellPredictions& cells, const Variable& features, const GridTargets& targets,
                   const AnchorFreeConfig& config) {
  Context& context = tape.context();
  const auto count = static_cast<int64_t>(targets.pairs.size());
  if (count == 0) return Tensor::zeros(context, {1}, DType::f32, "loss");
  std::vector<int32_t> rows, mask_of;
  std::vector<int64_t> first_of(static_cast<size_t>(features.extent(0)) + 1, 0);
  for (const CellPair& pair : targets.pairs) {  // ordered by image
    rows.push_back(pair.row);
    mask_of.push_back(pair.mask);
    ++first_of[static_cast<size_t>(pair.image) + 1];
  }
  std::partial_sum(first_of.begin(), first_of.end(), first_of.begin());
  const auto to_tensor = [&](const std::vector<int32_t>& values) {
    return Tensor::from_host<int32_t>(context, {count}, values, "targets");
  };
  const Variable kernels = row_gather(tape, cells.kernels, to_tensor(rows));
  Variable logits = dynamic_conv(tape, features, kernels, first_of);  // [M, h, w]
  const PackedMasks& masks = targets.masks;
  if (logits.extent(1) != masks.height) {
    logits = reshape(tape, logits, {count, logits.extent(1), logits.extent(2), 1});
    logits =
        reshape(tape, resize_bilinear(tape, logits, masks.height, masks.width), {count, masks.height, masks.width});
  }
  const Tensor words =
      Tensor::from_host<int32_t>(context, {masks.count, masks.words_per_mask()}, masks.words, "targets");
  const auto normalizer = static_cast<float>(count);
  const Variable loss = config.mask_loss == MaskLoss::dice
                            ? dice_loss(tape, logits, words, to_tensor(mask_of),
                                        {.normalizer = normalizer, .squared = config.dice_squared})
                            : mask_binary_cross_entropy(tape, logits, words, to_tensor(mask_of), normalizer);
  return scale(tape, loss, config.mask_weight);
}

Variable semantic_loss(Tape& tape, const Variable& logits, const std::vector<float>& targets,
                       const AnchorFreeConfig& config) {
  const int64_t elements = logits.value.elements();
  const Tensor target = Tensor::from_host<float>(tape.context(), {elements}, targets, "targets");
  const auto pixels = static_cast<float>(elements / logits.shape().back());
  const Variable loss = binary_cross_entropy_with_logits(tape, reshape(tape, logits, {elements}), target, pixels);
  return scale(tape, loss, config.semantic_weight);
}

}  // namespace tessera
