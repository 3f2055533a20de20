#include "engine/ops/point_nms.h"

#include "engine/core/dispatch.h"
#include "kernels/point_nms.h"

namespace tessera {

Tensor point_nms(Context& context, const Tensor& scores, const PyramidGeometry& geometry) {
  TESSERA_CHECK(scores.shape().rank() == 2 && scores.extent(0) == geometry.rows(), "scores {} for {} rows",
                scores.shape().to_string(), geometry.rows());
  Tensor kept = Tensor::empty(context, scores.shape(), DType::f32, "point_nms");
  for (int64_t index = 0; index < geometry.level_count(); ++index) {
    const PyramidLevel& level = geometry.level(index);
    const Tensor from = geometry.level_view(scores, index), to = geometry.level_view(kept, index);
    dispatch(context, [&](auto& backend) {
      point_nms(backend, PointNmsArgs{from.data<float>(), to.data<float>(), geometry.images(), level.height,
                                      level.width, scores.extent(1)});
    });
  }
  return kept;
}

}  // namespace tessera
