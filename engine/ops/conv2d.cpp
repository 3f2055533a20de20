#include "engine/ops/conv2d.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "kernels/add.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"
#include "kernels/relu.h"

namespace tessera {

namespace {

const float* data_or_null(const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; }

void check_per_channel(const Variable& variable, int64_t channels, const char* name) {
  if (!variable.defined()) return;
  TESSERA_CHECK(variable.shape() == Shape{channels}, "conv2d: {} {} for {} output channels", name,
                variable.shape().to_string(), channels);
}

Conv2dWindow window_of(const Shape& weight, int64_t in_channels, const Conv2dOptions& options) {
  TESSERA_CHECK(weight.rank() == 4, "conv2d: weights {}", weight.to_string());
  const Conv2dWindow window{in_channels,    weight[0],       weight[1],     weight[2],
                            options.stride, options.padding, options.groups};
  TESSERA_CHECK(options.stride >= 1 && options.padding >= 0 && options.groups >= 1, "conv2d: stride {} padding {}",
                options.stride, options.padding);
  TESSERA_CHECK(
      weight[1] >= 1 && weight[2] >= 1 && weight[0] % options.groups == 0 && weight[3] * options.groups == in_channels,
      "conv2d: weights {} in {} groups for {} input channels", weight.to_string(), options.groups, in_channels);
  return window;
}

int64_t out_extent(int64_t extent, int64_t window, const Conv2dOptions& options) {
  const int64_t room = extent + 2 * options.padding - window;
  return room < 0 ? 0 : room / options.stride + 1;
}

Tensor sum_of(Context& context, const Tensor& a, const Tensor& b) {
  Tensor sum = Tensor::empty(context, a.shape(), DType::f32, "conv2d");
  dispatch(context, [&](auto& backend) {
    add_forward(backend, {a.data<float>(), b.data<float>(), sum.data<float>(), sum.elements(), false});
  });
  return sum;
}

// A plan computes nothing, but asks the tuner of its context as a device would: who plans can learn which products a
// network wants.
void ask_tuner(const Context& context, const Conv2dWindow& window, std::span<const Conv2dMap> maps) {
  if (context.backend() != Backend::plan || !context.convolutions().tuner) return;
  std::vector<int64_t> rows;
  for (const Conv2dMap& map : maps) rows.push_back(map.out_rows());
  context.convolutions().tuner->choose({ConvPass::gather, precision_of(context), rows, window.group_out(),
                                        window.groups, window.taps() * window.group_in(), window.taps()},
                                       {});
}

// Rows of channels on either side; a map is one or several Conv2dMap over them.
struct Convolution {
  Conv2dWindow window;
  std::vector<Conv2dMap> maps;
  bool relu;
};

enum Input : size_t { kX, kWeight, kBias, kResidual };
enum Saved : size_t { kSavedX, kSavedWeight, kSavedScale, kSavedOutput };

void backward(BackwardPass& pass, const Convolution& conv, const Shape& x_shape, const Shape& weight_shape) {
  Context& context = pass.context();
  Tensor dy = pass.output_gradient();
  if (conv.relu) {
    Tensor masked = Tensor::empty(context, dy.shape(), DType::f32, "gradient");
    dispatch(context, [&](auto& backend) {
      relu_backward(backend, {pass.saved(kSavedOutput).template data<float>(), dy.data<float>(), masked.data<float>(),
                              masked.elements()});
    });
    dy = masked;
  }
  const float* scale = data_or_null(pass.saved(kSavedScale));
  if (pass.needs_gradient(kBias)) {
    Tensor dbias = Tensor::empty(context, {conv.window.out_channels}, DType::f32, "gradient");
    dispatch(context, [&](auto& backend) {
      channel_sum(backend, {dy.data<float>(), dbias.data<float>(),
                            dy.elements() / std::max<int64_t>(1, dy.shape().back()), dbias.elements()});
    });
    pass.add_gradient(kBias, std::move(dbias));
  }
  if (pass.needs_gradient(kWeight)) {
    Tensor dweight = Tensor::empty(context, weight_shape, DType::f32, "gradient");
    dispatch(context, [&](auto& backend) {
      conv2d_backward_weight(
          backend, {conv.window, conv.maps, pass.saved(kSavedX).template data<float>(), dy.data<float>(), scale,
                    dweight.data<float>(), gradient_math(precision_of(context))});
    });
    pass.add_gradient(kWeight, std::move(dweight));
  }
  if (pass.needs_gradient(kX)) {
    Tensor dx = Tensor::empty(context, x_shape, DType::f32, "gradient");
    dispatch(context, [&](auto& backend) {
      conv2d_backward_data(
          backend, {conv.window, conv.maps, dy.data<float>(), pass.saved(kSavedWeight).template data<float>(), scale,
                    dx.data<float>(), gradient_math(precision_of(context))});
    });
    pass.add_gradient(kX, std::move(dx));
  }
  if (pass.needs_gradient(kResidual)) pass.add_gradient(kResidual, std::move(dy));
}

Variable run(Tape& tape, const Conv2dInputs& inputs, Convolution conv, const Shape& y_shape,
             RowMomentTensors* moments) {
  Context& context = tape.context();
  const Conv2dWindow& window = conv.window;
  check_per_channel(inputs.bias, window.out_channels, "bias");
  check_per_channel(inputs.scale, window.out_channels, "scale");
  check_per_channel(inputs.shift, window.out_channels, "shift");
  TESSERA_CHECK(!inputs.scale.needs_gradient() && !inputs.shift.needs_gradient(), "conv2d: a frozen affine");
  if (inputs.residual.defined()) {
    TESSERA_CHECK(inputs.residual.shape() == y_shape, "conv2d: residual {} for {}", inputs.residual.shape().to_string(),
                  y_shape.to_string());
  }
  Tensor offset = inputs.bias.defined() ? inputs.bias.value : inputs.shift.value;
  if (inputs.bias.defined() && inputs.shift.defined()) {
    offset = sum_of(context, inputs.bias.value, inputs.shift.value);
  }
  Tensor y = Tensor::empty(context, y_shape, DType::f32, "conv2d");
  if (moments != nullptr) {
    *moments = RowMomentTensors::empty(context, moment_parts(conv.maps), window.out_channels, "conv2d");
  }
  int64_t rows = 0;
  for (const Conv2dMap& map : conv.maps) rows += map.out_rows();
  tape.count_macs(rows * window.weight_elements());
  ask_tuner(context, window, conv.maps);
  dispatch(context, [&](auto& backend) {
    conv2d_forward(backend, {window, conv.maps, inputs.x.value.data<float>(), inputs.weight.value.data<float>(),
                             data_or_null(inputs.scale.value), data_or_null(offset),
                             data_or_null(inputs.residual.value), y.data<float>(), conv.relu, precision_of(context),
                             moments != nullptr ? moments->pointers() : RowMoments{}});
  });
  std::vector<Tensor> saved(4);
  if (inputs.weight.needs_gradient()) saved[kSavedX] = inputs.x.value;
  if (inputs.x.needs_gradient()) saved[kSavedWeight] = inputs.weight.value;
  if (inputs.scale.defined()) saved[kSavedScale] = inputs.scale.value;
  if (conv.relu) saved[kSavedOutput] = y;
  return tape.record("conv2d", {inputs.x, inputs.weight, inputs.bias, inputs.residual}, y, std::move(saved),
                     [conv = std::move(conv), x_shape = inputs.x.shape(), weight_shape = inputs.weight.shape()](
                         BackwardPass& pass) { backward(pass, conv, x_shape, weight_shape); });
}

}  // namespace

Variable conv2d(Tape& tape, const Conv2dInputs& inputs, const Conv2dOptions& options, RowMomentTensors* moments) {
  const Shape& x = inputs.x.shape();
  TESSERA_CHECK(x.rank() == 4, "conv2d: map {}", x.to_string());
  const Conv2dWindow window = window_of(inputs.weight.shape(), x[3], options);
  const int64_t out_height = out_extent(x[1], window.height, options);
  const int64_t out_width = out_extent(x[2], window.width, options);
  const Conv2dMap map{x[0], x[1], x[2], out_height, out_width, 0, 0};
  return run(tape, inputs, {window, {map}, options.relu}, {x[0], out_height, out_width, window.out_channels}, moments);
}

Pyramid conv2d(Tape& tape, const Pyramid& x, const Variable& weight, const Variable& bias, const Conv2dOptions& options,
               RowMomentTensors* moments) {
  const Conv2dWindow window = window_of(weight.shape(), x.channels(), options);
  TESSERA_CHECK(options.stride == 1 && window.height == 2 * window.padding + 1 && window.width == window.height,
                "conv2d: weights {} with stride {} and padding {} change the extents of a pyramid",
                weight.shape().to_string(), options.stride, options.padding);
  std::vector<Conv2dMap> maps;
  for (const PyramidLevel& level : x.geometry.levels()) {
    maps.push_back(
        {x.geometry.images(), level.height, level.width, level.height, level.width, level.row_begin, level.row_begin});
  }
  const Conv2dInputs inputs{x.rows, weight, bias, {}, {}, {}};
  return {run(tape, inputs, {window, std::move(maps), options.relu}, {x.geometry.rows(), window.out_channels}, moments),
          x.geometry};
}

}  // namespace tessera
