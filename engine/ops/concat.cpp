#include "engine/ops/concat.h"

#include "engine/core/dispatch.h"
#include "kernels/concat.h"

namespace tessera {

namespace {

Shape with_channels(const Shape& shape, int64_t channels) {
  std::vector<int64_t> extents(shape.extents().begin(), shape.extents().end());
  extents.back() = channels;
  return Shape(extents);
}

}  // namespace

Variable concat_channels(Tape& tape, const std::vector<Variable>& maps) {
  TESSERA_CHECK(!maps.empty(), "nothing to concatenate");
  const Shape& first = maps[0].shape();
  std::vector<int64_t> widths;
  int64_t channels = 0, rows = 1;
  for (int axis = 0; axis + 1 < first.rank(); ++axis) rows *= first[axis];
  for (const Variable& map : maps) {
    TESSERA_CHECK(map.shape().rank() == first.rank() && with_channels(map.shape(), 0) == with_channels(first, 0),
                  "{} beside {}", map.shape().to_string(), first.to_string());
    widths.push_back(map.shape().back());
    channels += widths.back();
  }
  Tensor y = Tensor::empty(tape.context(), with_channels(first, channels), DType::f32, "concat_channels");
  dispatch(tape.context(), [&](auto& backend) {
    float* destination = y.data<float>();
    for (size_t i = 0; i < maps.size(); ++i) {
      copy_columns(backend, {maps[i].value.data<float>(), destination, rows, widths[i], widths[i], channels});
      destination += widths[i];
    }
  });
  return tape.record("concat_channels", maps, {y}, {}, [widths, rows, channels](BackwardPass& pass) {
    const Tensor dy = pass.output_gradient();
    int64_t offset = 0;
    for (size_t i = 0; i < widths.size(); offset += widths[i++]) {
      if (!pass.needs_gradient(i)) continue;
      Tensor dx = Tensor::empty(pass.context(), with_channels(dy.shape(), widths[i]), DType::f32, "gradient");
      dispatch(pass.context(), [&](auto& backend) {
        copy_columns(backend, {dy.data<float>() + offset, dx.data<float>(), rows, widths[i], channels, widths[i]});
      });
      pass.add_gradient(i, dx);
    }
  })[0];
}

std::vector<Variable> split_channels(Tape& tape, const Variable& x, const std::vector<int64_t>& widths) {
  const int64_t channels = x.shape().back();
  int64_t sum = 0;
  std::vector<Tensor> parts;
  for (const int64_t width : widths) {
    TESSERA_CHECK(width > 0, "a part of {} channels", width);
    sum += width;
    parts.push_back(Tensor::empty(tape.context(), with_channels(x.shape(), width), DType::f32, "split_channels"));
  }
  TESSERA_CHECK(sum == channels, "{} channels into parts of {} together", channels, sum);
  const int64_t rows = x.value.elements() / channels;
  dispatch(tape.context(), [&](auto& backend) {
    const float* source = x.value.data<float>();
    for (size_t i = 0; i < widths.size(); ++i) {
      copy_columns(backend, {source, parts[i].template data<float>(), rows, widths[i], channels, widths[i]});
      source += widths[i];
    }
  });
  return tape.record("split_channels", std::vector<Variable>{x}, parts, {}, [=, shape = x.shape()](BackwardPass& pass) {
    Tensor dx = Tensor::empty(pass.context(), shape, DType::f32, "gradient");
    int64_t offset = 0;
    for (size_t i = 0; i < widths.size(); offset += widths[i++]) {
      const Tensor dy = pass.output_gradient(i);
      dispatch(pass.context(), [&](auto& backend) {
        copy_columns(backend, {dy.data<float>(), dx.data<float>() + offset, rows, widths[i], widths[i], channels});
      });
    }
    pass.add_gradient(0, dx);
  });
}

}  // namespace tessera
