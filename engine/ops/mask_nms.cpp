#include "engine/ops/mask_nms.h"

#include "engine/core/dispatch.h"
#include "kernels/mask_nms.h"

namespace tessera {

namespace {

int64_t square_side(const Tensor& overlaps) {
  TESSERA_CHECK(overlaps.shape().rank() == 2 && overlaps.extent(0) == overlaps.extent(1), "overlaps {}",
                overlaps.shape().to_string());
  return overlaps.extent(0);
}

}  // namespace

Tensor mask_overlap(Context& context, const Tensor& words, const Tensor& areas, const Tensor& labels) {
  TESSERA_CHECK(words.shape().rank() == 2, "words {}", words.shape().to_string());
  const int64_t count = words.extent(0);
  TESSERA_CHECK(areas.shape() == Shape{count} && labels.shape() == Shape{count}, "areas {} and labels {} for {} masks",
                areas.shape().to_string(), labels.shape().to_string(), count);
  Tensor overlaps = Tensor::empty(context, {count, count}, DType::f32, "mask_overlap");
  dispatch(context, [&](auto& backend) {
    mask_overlap(backend, MaskOverlapArgs{words.data<int64_t>(), areas.data<int32_t>(), labels.data<int32_t>(),
                                          overlaps.data<float>(), count, words.extent(1)});
  });
  return overlaps;
}

Tensor matrix_nms(Context& context, const Tensor& overlaps, const Tensor& scores, const MatrixNmsOptions& options) {
  const int64_t count = square_side(overlaps);
  TESSERA_CHECK(scores.shape() == Shape{count}, "scores {} for {} masks", scores.shape().to_string(), count);
  Tensor decayed = Tensor::empty(context, {count}, DType::f32, "matrix_nms");
  dispatch(context, [&](auto& backend) {
    matrix_nms(backend, MatrixNmsArgs{overlaps.data<float>(), scores.data<float>(), decayed.data<float>(), count,
                                      options.gaussian, options.sigma});
  });
  return decayed;
}

Tensor greedy_nms(Context& context, const Tensor& overlaps, float threshold) {
  const int64_t count = square_side(overlaps);
  Tensor kept = Tensor::empty(context, {count}, DType::u8, "greedy_nms");
  dispatch(context, [&](auto& backend) {
    greedy_nms(backend, GreedyNmsArgs{overlaps.data<float>(), kept.data<uint8_t>(), count, threshold});
  });
  return kept;
}

}  // namespace tessera
