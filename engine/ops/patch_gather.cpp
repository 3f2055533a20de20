#include "engine/ops/patch_gather.h"

#include "engine/core/dispatch.h"
#include "kernels/patch_gather.h"

namespace tessera {

Variable patch_gather(Tape& tape, const Pyramid& x, const Tensor& rows) {
  TESSERA_CHECK(rows.dtype() == DType::i32 && rows.shape().rank() == 1, "rows {}", rows.shape().to_string());
  std::vector<PatchLevel> levels;
  for (const PyramidLevel& level : x.geometry.levels()) levels.push_back({level.row_begin, level.height, level.width});
  const int64_t count = rows.elements(), channels = x.channels();
  Tensor patches = Tensor::empty(tape.context(), {count, 9 * channels}, DType::f32, "patch_gather");
  dispatch(tape.context(), [&](auto& backend) {
    patch_gather_forward(backend, {x.rows.value.data<float>(), rows.data<int32_t>(), patches.data<float>(),
                                   levels.data(), static_cast<int64_t>(levels.size()), count, channels});
  });
  const Shape shape = x.rows.shape();
  return tape.record("patch_gather", {x.rows}, patches, {rows}, [levels, shape](BackwardPass& pass) {
    const Tensor dpatches = pass.output_gradient();
    Tensor dx = Tensor::zeros(pass.context(), shape, DType::f32, "gradient");
    dispatch(pass.context(), [&](auto& backend) {
      patch_gather_backward(
          backend, {dpatches.data<float>(), pass.saved(0).template data<int32_t>(), dx.data<float>(), levels.data(),
                    static_cast<int64_t>(levels.size()), dpatches.extent(0), shape[1], shape[0]});
    });
    pass.add_gradient(0, std::move(dx));
  });
}

}  // namespace tessera
