#include "engine/ops/pyramid.h"

#include "engine/core/dispatch.h"

namespace tessera {

Pyramid stack_pyramid(Tape& tape, const std::vector<Variable>& levels, const std::vector<int64_t>& strides) {
  TESSERA_CHECK(!levels.empty() && levels.size() == strides.size(), "{} levels, {} strides", levels.size(),
                strides.size());
  TESSERA_CHECK(levels[0].shape().rank() == 4, "level of shape {}", levels[0].shape().to_string());
  const int64_t images = levels[0].extent(0), channels = levels[0].extent(3);
  PyramidGeometry geometry(images);
  for (size_t i = 0; i < levels.size(); ++i) {
    const Shape& shape = levels[i].shape();
    TESSERA_CHECK(shape.rank() == 4 && shape[0] == images && shape[3] == channels, "{} above {}", shape.to_string(),
                  levels[0].shape().to_string());
    geometry.add_level(shape[1], shape[2], strides[i]);
  }
  Context& context = tape.context();
  Tensor rows = Tensor::empty(context, {geometry.rows(), channels}, DType::f32, "pyramid");
  for (size_t i = 0; i < levels.size(); ++i) {
    geometry.level_view(rows, static_cast<int64_t>(i)).copy_from(context, levels[i].value);
  }
  std::vector<Variable> recorded = tape.record("stack_pyramid", levels, {rows}, {}, [geometry](BackwardPass& pass) {
    const Tensor gradient = pass.output_gradient();
    for (int64_t i = 0; i < geometry.level_count(); ++i) {
      pass.add_gradient(static_cast<size_t>(i), geometry.level_view(gradient, i));
    }
  });
  return {recorded[0], geometry};
}

Variable pyramid_level(Tape& tape, const Pyramid& pyramid, int64_t level) {
  const PyramidGeometry& geometry = pyramid.geometry;
  return tape.record("pyramid_level", {pyramid.rows}, geometry.level_view(pyramid.rows.value, level), {},
                     [geometry, level, shape = pyramid.rows.shape()](BackwardPass& pass) {
                       Tensor rows = Tensor::zeros(pass.context(), shape, DType::f32, "gradient");
                       geometry.level_view(rows, level).copy_from(pass.context(), pass.output_gradient());
                       pass.add_gradient(0, std::move(rows));
                     });
}

std::vector<Variable> pyramid_levels(Tape& tape, const Pyramid& pyramid) {
  const PyramidGeometry& geometry = pyramid.geometry;
  std::vector<Tensor> views;
  for (int64_t i = 0; i < geometry.level_count(); ++i) views.push_back(geometry.level_view(pyramid.rows.value, i));
  return tape.record("pyramid_levels", std::vector<Variable>{pyramid.rows}, std::move(views), {},
                     [geometry, shape = pyramid.rows.shape()](BackwardPass& pass) {
                       Tensor rows = Tensor::empty(pass.context(), shape, DType::f32, "gradient");
                       for (int64_t i = 0; i < geometry.level_count(); ++i) {
                         geometry.level_view(rows, i).copy_from(pass.context(),
                                                                pass.output_gradient(static_cast<size_t>(i)));
                       }
                       pass.add_gradient(0, std::move(rows));
                     });
}

}  // namespace tessera
