#include "engine/ops/mask_candidates.h"

#include "engine/core/dispatch.h"
#include "kernels/mask_candidates.h"

namespace tessera {

namespace {

const int32_t* data_or_null(const Tensor& tensor) { return tensor.defined() ? tensor.data<int32_t>() : nullptr; }

}  // namespace

RankedPlaces rank_scores(Context& context, const Tensor& scores, const Tensor& rows, const Tensor& labels,
                         const Tensor& valid, const RankScoresOptions& options) {
  const int64_t count = scores.elements();
  TESSERA_CHECK(scores.shape().rank() == 1 && options.capacity >= 1, "{} best of {}", options.capacity,
                scores.shape().to_string());
  TESSERA_CHECK(!rows.defined() || rows.elements() == count, "rows {}", rows.shape().to_string());
  TESSERA_CHECK(!labels.defined() || labels.elements() == count, "labels {}", labels.shape().to_string());
  TESSERA_CHECK(!valid.defined() || valid.elements() == 1, "valid {}", valid.shape().to_string());
  const RankedPlaces order{Tensor::empty(context, {options.capacity}, DType::i32, "candidates"),
                           Tensor::empty(context, {1}, DType::i32, "candidates")};
  dispatch(context, [&](auto& backend) {
    rank_scores(backend, RankScoresArgs{scores.data<float>(), data_or_null(rows), data_or_null(labels),
                                        data_or_null(valid), order.places.data<int32_t>(), order.kept.data<int32_t>(),
                                        count, options.capacity, options.least});
  });
  return order;
}

Tensor take_rows(Context& context, const Tensor& from, const RankedPlaces& order) {
  const size_t size = dtype_size(from.dtype());
  TESSERA_CHECK(from.shape().rank() >= 1 && size % sizeof(uint32_t) == 0, "{} of {}", from.shape().to_string(),
                dtype_name(from.dtype()));
  std::vector<int64_t> extents(from.shape().extents().begin(), from.shape().extents().end());
  int64_t width = static_cast<int64_t>(size / sizeof(uint32_t));
  for (size_t axis = 1; axis < extents.size(); ++axis) width *= extents[axis];
  extents[0] = order.places.elements();
  const Tensor taken = Tensor::empty(context, Shape(extents), from.dtype(), "candidates");
  dispatch(context, [&](auto& backend) {
    take_rows(backend,
              TakeRowsArgs{static_cast<const uint32_t*>(from.raw()), order.places.data<int32_t>(),
                           order.kept.data<int32_t>(), static_cast<uint32_t*>(taken.raw()), extents[0], width});
  });
  return taken;
}

Tensor weigh_masks(Context& context, const Tensor& scores, const Tensor& maskness, const Tensor& areas,
                   const Tensor& least_areas) {
  const int64_t count = scores.elements();
  TESSERA_CHECK(maskness.elements() == count && areas.elements() == count && least_areas.elements() == count,
                "{} scores, {} maskness, {} areas, {} least areas", count, maskness.elements(), areas.elements(),
                least_areas.elements());
  const Tensor weighed = Tensor::empty(context, {count}, DType::f32, "candidates");
  dispatch(context, [&](auto& backend) {
    weigh_masks(backend, WeighMasksArgs{scores.data<float>(), maskness.data<float>(), areas.data<int32_t>(),
                                        least_areas.data<int32_t>(), weighed.data<float>(), count});
  });
  return weighed;
}

Tensor keep_scores(Context& context, const Tensor& scores, const Tensor& kept) {
  TESSERA_CHECK(scores.elements() == kept.elements(), "{} scores, {} flags", scores.elements(), kept.elements());
  const Tensor result = Tensor::empty(context, {scores.elements()}, DType::f32, "candidates");
  dispatch(context, [&](auto& backend) {
    keep_scores(backend,
                KeepScoresArgs{scores.data<float>(), kept.data<uint8_t>(), result.data<float>(), scores.elements()});
  });
  return result;
}

}  // namespace tessera
