#include "engine/ops/scale_levels.h"

#include "engine/core/dispatch.h"

namespace tessera {

Pyramid scale_levels(Tape& tape, const Pyramid& x, const std::vector<Variable>& scales, ScaleActivation activation) {
  const PyramidGeometry geometry = x.geometry;
  TESSERA_CHECK(static_cast<int64_t>(scales.size()) == geometry.level_count(), "{} scales for {} levels", scales.size(),
                geometry.level_count());
  for (const Variable& scale : scales) {
    TESSERA_CHECK(scale.value.elements() == 1, "scale of shape {}", scale.shape().to_string());
  }
  Tensor y = Tensor::empty(tape.context(), x.rows.shape(), DType::f32, "scale_levels");
  for (int64_t i = 0; i < geometry.level_count(); ++i) {
    const Tensor from = geometry.level_view(x.rows.value, i), to = geometry.level_view(y, i);
    dispatch(tape.context(), [&](auto& backend) {
      scale_level_forward(backend, {from.data<float>(), scales[static_cast<size_t>(i)].value.data<float>(),
                                    to.data<float>(), to.elements(), activation});
    });
  }
  // Saved: x, y (undefined without activation), then the scales.
  std::vector<Variable> inputs = {x.rows};
  std::vector<Tensor> saved = {x.rows.value, activation == ScaleActivation::none ? Tensor() : y};
  for (const Variable& scale : scales) {
    inputs.push_back(scale);
    saved.push_back(scale.value);
  }
  std::vector<Variable> recorded =
      tape.record("scale_levels", inputs, {y}, std::move(saved), [geometry, activation](BackwardPass& pass) {
        const Tensor dy = pass.output_gradient();
        const Tensor &saved_x = pass.saved(0), &saved_y = pass.saved(1);
        Tensor dx;
        if (pass.needs_gradient(0)) dx = Tensor::empty(pass.context(), dy.shape(), DType::f32, "gradient");
        const auto level_pointer = [&](const Tensor& rows, int64_t level) {
          return rows.defined() ? geometry.level_view(rows, level).data<float>() : nullptr;
        };
        for (int64_t i = 0; i < geometry.level_count(); ++i) {
          const size_t input = static_cast<size_t>(i) + 1;
          Tensor dscale;
          if (pass.needs_gradient(input)) {
            dscale = Tensor::empty(pass.context(), pass.saved(input + 1).shape(), DType::f32, "gradient");
          }
          dispatch(pass.context(), [&](auto& backend) {
            scale_level_backward(backend, {.x = level_pointer(saved_x, i),
                                           .y = level_pointer(saved_y, i),
                                           .scale = pass.saved(input + 1).data<float>(),
                                           .dy = level_pointer(dy, i),
                                           .dx = level_pointer(dx, i),
                                           .dscale = dscale.defined() ? dscale.data<float>() : nullptr,
                                           .count = geometry.level_view(dy, i).elements(),
                                           .activation = activation});
          });
          if (dscale.defined()) pass.add_gradient(input, dscale);
        }
        if (dx.defined()) pass.add_gradient(0, dx);
      });
  return {recorded[0], geometry};
}

}  // namespace tessera
