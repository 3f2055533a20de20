#include "engine/ops/select_top_k.h"

#include "engine/core/dispatch.h"

namespace tessera {

TopKSelection select_top_k(Context& context, const Tensor& class_logits, const Tensor& quality_logits,
                           const PyramidGeometry& geometry, const SelectTopKOptions& options) {
  TESSERA_CHECK(class_logits.shape().rank() == 2 && class_logits.extent(0) == geometry.rows(), "logits {} for {} rows",
                class_logits.shape().to_string(), geometry.rows());
  TESSERA_CHECK(!quality_logits.defined() || quality_logits.elements() == geometry.rows(), "quality {} for {} rows",
                quality_logits.shape().to_string(), geometry.rows());
  TESSERA_CHECK(options.k >= 1, "k = {}", options.k);
  TESSERA_CHECK(options.rule != CandidateRule::given || (!quality_logits.defined() && options.threshold >= 0),
                "probabilities above {} have no quality", options.threshold);
  const int64_t images = geometry.images(), levels = geometry.level_count();
  const Shape shape{images, levels, options.k};
  TopKSelection selection{Tensor::empty(context, shape, DType::f32, "candidates"),
                          Tensor::empty(context, shape, DType::i32, "candidates"),
                          Tensor::empty(context, shape, DType::i32, "candidates"),
                          Tensor::empty(context, {images, levels}, DType::i32, "candidates")};
  std::vector<LevelRows> level_rows;
  for (const PyramidLevel& level : geometry.levels()) {
    level_rows.push_back({level.row_begin, level.height, level.width, level.stride});
  }
  dispatch(context, [&](auto& backend) {
    select_top_k(
        backend,
        SelectTopKArgs{class_logits.data<float>(), quality_logits.defined() ? quality_logits.data<float>() : nullptr,
                       level_rows.data(), selection.values.data<float>(), selection.rows.data<int32_t>(),
                       selection.classes.data<int32_t>(), selection.counts.data<int32_t>(), images, levels,
                       class_logits.extent(1), options.k, options.rule, options.threshold});
  });
  return selection;
}

}  // namespace tessera
