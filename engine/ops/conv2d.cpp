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

// One set of weights. Rows of channels on either side; a map is one or several Conv2dMap over them.
struct Branch {
  Conv2dInputs inputs;
  std::vector<Conv2dMap> maps;
  Shape y_shape;

  bool needs_gradient() const {
    return inputs.x.needs_gradient() || inputs.weight.needs_gradient() || inputs.bias.needs_gradient() ||
           inputs.residual.needs_gradient();
  }
};

// A plan computes nothing, but asks the tuner of its context as a device would: who plans can learn which products a
// network wants.
void ask_tuner(const Context& context, const Conv2dWindow& window, std::span<const Branch> branches) {
  if (context.backend() != Backend::plan || !context.convolutions().tuner) return;
  std::vector<int64_t> rows;
  std::vector<Conv2dMap> maps;
  for (const Branch& branch : branches) {
    for (const Conv2dMap& map : branch.maps) rows.push_back(map.out_rows());
    maps.insert(maps.end(), branch.maps.begin(), branch.maps.end());
  }
  context.convolutions().tuner->choose({.pass = ConvPass::forward,
                                        .math = precision_of(context),
                                        .rows = rows,
                                        .columns = window.group_out(),
                                        .groups = window.groups,
                                        .depth = window.taps() * window.group_in(),
                                        .taps = window.taps(),
                                        .branches = static_cast<int64_t>(branches.size()),
                                        .window = window,
                                        .maps = maps},
                                       {});
}

// What the backward pass knows beside the saved tensors.
struct Convolution {
  Conv2dWindow window;
  bool relu;
  Shape weight_shape;
  struct Of {
    std::vector<Conv2dMap> maps;
    Shape x_shape;
  };
  std::vector<Of> branches;
};

// Of each branch.
enum Input : size_t { kX, kWeight, kBias, kResidual, kInputs };
enum Saved : size_t { kSavedX, kSavedWeight, kSavedScale, kSavedOutput, kSavedTensors };

// Gradients in front of the ReLU, by branch; undefined where none are wanted or none came.
std::vector<Tensor> gradients_of_sums(BackwardPass& pass, const Convolution& conv) {
  Context& context = pass.context();
  std::vector<Tensor> gradients(conv.branches.size());
  for (size_t branch = 0; branch < gradients.size(); ++branch) {
    const auto needs = [&](size_t input) { return pass.needs_gradient(kInputs * branch + input); };
    if (!pass.has_output_gradient(branch)) continue;
    if (!needs(kX) && !needs(kWeight) && !needs(kBias) && !needs(kResidual)) continue;
    Tensor dy = pass.output_gradient(branch);
    if (conv.relu) {
      Tensor masked = Tensor::empty(context, dy.shape(), DType::f32, "gradient");
      dispatch(context, [&](auto& backend) {
        relu_backward(backend, {pass.saved(kSavedTensors * branch + kSavedOutput).template data<float>(),
                                dy.data<float>(), masked.data<float>(), masked.elements()});
      });
      dy = masked;
    }
    gradients[branch] = std::move(dy);
  }
  return gradients;
}

// The gradients of one input in all branches that want them: compute(backend, branches, gradients) fills them in
// together, gradients are by branch. They are added from the last branch to the first, as those of separate ops.
template <typename Compute>
void add_gradients(BackwardPass& pass, Input input, const std::vector<Tensor>& dy, const Convolution& conv,
                   const Compute& compute) {
  Context& context = pass.context();
  std::vector<size_t> branches;
  std::vector<Tensor> gradients(dy.size());
  for (size_t branch = 0; branch < dy.size(); ++branch) {
    if (!dy[branch].defined() || !pass.needs_gradient(kInputs * branch + input)) continue;
    branches.push_back(branch);
    const Shape& shape = input == kX ? conv.branches[branch].x_shape : conv.weight_shape;
    gradients[branch] = Tensor::empty(context, shape, DType::f32, "gradient");
  }
  if (branches.empty()) return;
  dispatch(context, [&](auto& backend) { compute(backend, branches, gradients); });
  for (size_t i = branches.size(); i-- > 0;) {
    pass.add_gradient(kInputs * branches[i] + input, std::move(gradients[branches[i]]));
  }
}

void backward(BackwardPass& pass, const Convolution& conv) {
  Context& context = pass.context();
  const std::vector<Tensor> dy = gradients_of_sums(pass, conv);
  const ConvMath math = gradient_math(precision_of(context));
  const auto saved = [&](size_t branch, Saved tensor) {
    return data_or_null(pass.saved(kSavedTensors * branch + tensor));
  };
  for (size_t branch = dy.size(); branch-- > 0;) {
    if (!dy[branch].defined() || !pass.needs_gradient(kInputs * branch + kBias)) continue;
    Tensor dbias = Tensor::empty(context, {conv.window.out_channels}, DType::f32, "gradient");
    dispatch(context, [&](auto& backend) {
      channel_sum(backend, {dy[branch].data<float>(), dbias.data<float>(),
                            dy[branch].elements() / std::max<int64_t>(1, dy[branch].shape().back()), dbias.elements()});
    });
    pass.add_gradient(kInputs * branch + kBias, std::move(dbias));
  }
  add_gradients(pass, kWeight, dy, conv,
                [&](auto& backend, const std::vector<size_t>& branches, const std::vector<Tensor>& dweight) {
                  std::vector<Conv2dBackwardWeightArgs> args;
                  for (const size_t at : branches) {
                    args.push_back({conv.window, conv.branches[at].maps, saved(at, kSavedX), dy[at].data<float>(),
                                    saved(at, kSavedScale), dweight[at].data<float>(), math});
                  }
                  conv2d_backward_weight(backend, Conv2dBranches<Conv2dBackwardWeightArgs>(args));
                });
  add_gradients(pass, kX, dy, conv,
                [&](auto& backend, const std::vector<size_t>& branches, const std::vector<Tensor>& dx) {
                  std::vector<Conv2dBackwardDataArgs> args;
                  for (const size_t at : branches) {
                    args.push_back({conv.window, conv.branches[at].maps, dy[at].data<float>(), saved(at, kSavedWeight),
                                    saved(at, kSavedScale), dx[at].data<float>(), math});
                  }
                  conv2d_backward_data(backend, Conv2dBranches<Conv2dBackwardDataArgs>(args));
                });
  for (size_t branch = dy.size(); branch-- > 0;) {
    if (dy[branch].defined() && pass.needs_gradient(kInputs * branch + kResidual)) {
      pass.add_gradient(kInputs * branch + kResidual, dy[branch]);
    }
  }
}

void check_inputs(const Conv2dWindow& window, const Branch& branch) {
  const Conv2dInputs& inputs = branch.inputs;
  check_per_channel(inputs.bias, window.out_channels, "bias");
  check_per_channel(inputs.scale, window.out_channels, "scale");
  check_per_channel(inputs.shift, window.out_channels, "shift");
  TESSERA_CHECK(!inputs.scale.needs_gradient() && !inputs.shift.needs_gradient(), "conv2d: a frozen affine");
  if (!inputs.residual.defined()) return;
  TESSERA_CHECK(inputs.residual.shape() == branch.y_shape, "conv2d: residual {} for {}",
                inputs.residual.shape().to_string(), branch.y_shape.to_string());
}

// bias + shift.
Tensor offset_of(Context& context, const Conv2dInputs& inputs) {
  if (inputs.bias.defined() && inputs.shift.defined()) return sum_of(context, inputs.bias.value, inputs.shift.value);
  return inputs.bias.defined() ? inputs.bias.value : inputs.shift.value;
}

void save(std::vector<Tensor>& saved, const Conv2dInputs& inputs, const Tensor& y, bool relu) {
  saved.push_back(inputs.weight.needs_gradient() ? inputs.x.value : Tensor());
  saved.push_back(inputs.x.needs_gradient() ? inputs.weight.value : Tensor());
  saved.push_back(inputs.scale.value);
  saved.push_back(relu ? y : Tensor());
}

std::vector<Variable> run(Tape& tape, const Conv2dWindow& window, std::vector<Branch> branches, bool relu,
                          std::vector<RowMomentTensors>* moments) {
  Context& context = tape.context();
  std::vector<Tensor> offsets, outputs;
  if (moments != nullptr) moments->clear();
  for (const Branch& branch : branches) {
    check_inputs(window, branch);
    offsets.push_back(offset_of(context, branch.inputs));
    outputs.push_back(Tensor::empty(context, branch.y_shape, DType::f32, "conv2d"));
    if (moments != nullptr) {
      moments->push_back(RowMomentTensors::empty(context, moment_parts(branch.maps), window.out_channels, "conv2d"));
    }
    int64_t rows = 0;
    for (const Conv2dMap& map : branch.maps) rows += map.out_rows();
    tape.count_macs(rows * window.weight_elements());
  }
  ask_tuner(context, window, branches);
  dispatch(context, [&](auto& backend) {
    std::vector<Conv2dForwardArgs> args;
    for (size_t i = 0; i < branches.size(); ++i) {
      const Conv2dInputs& inputs = branches[i].inputs;
      args.push_back({window, branches[i].maps, inputs.x.value.data<float>(), inputs.weight.value.data<float>(),
                      data_or_null(inputs.scale.value), data_or_null(offsets[i]), data_or_null(inputs.residual.value),
                      outputs[i].data<float>(), relu, precision_of(context),
                      moments != nullptr ? (*moments)[i].pointers() : RowMoments{}});
    }
    conv2d_forward(backend, Conv2dBranches<Conv2dForwardArgs>(args));
  });
  Convolution conv{window, relu, branches.front().inputs.weight.shape(), {}};
  std::vector<Variable> inputs;
  std::vector<Tensor> saved;
  for (size_t i = 0; i < branches.size(); ++i) {
    const Conv2dInputs& of = branches[i].inputs;
    inputs.insert(inputs.end(), {of.x, of.weight, of.bias, of.residual});
    if (branches[i].needs_gradient()) {
      save(saved, of, outputs[i], relu);
    } else {
      saved.resize(saved.size() + kSavedTensors);
    }
    conv.branches.push_back({branches[i].maps, of.x.shape()});
  }
  std::vector<Variable> y = tape.record("conv2d", inputs, std::move(outputs), std::move(saved),
                                        [conv = std::move(conv)](BackwardPass& pass) { backward(pass, conv); });
  for (size_t i = 0; i < branches.size(); ++i) {
    if (!branches[i].needs_gradient()) y[i] = Variable(std::move(y[i].value));
  }
  return y;
}

Variable run(Tape& tape, const Conv2dWindow& window, Branch branch, bool relu, RowMomentTensors* moments) {
  std::vector<RowMomentTensors> of_branch;
  Variable y = run(tape, window, std::vector{std::move(branch)}, relu, moments ? &of_branch : nullptr)[0];
  if (moments != nullptr) *moments = std::move(of_branch[0]);
  return y;
}

}  // namespace

Variable conv2d(Tape& tape, const Conv2dInputs& inputs, const Conv2dOptions& options, RowMomentTensors* moments) {
  const Shape& x = inputs.x.shape();
  TESSERA_CHECK(x.rank() == 4, "conv2d: map {}", x.to_string());
  const Conv2dWindow window = window_of(inputs.weight.shape(), x[3], options);
  const int64_t out_height = out_extent(x[1], window.height, options);
  const int64_t out_width = out_extent(x[2], window.width, options);
  const Conv2dMap map{x[0], x[1], x[2], out_height, out_width, 0, 0};
  return run(tape, window, {inputs, {map}, {x[0], out_height, out_width, window.out_channels}}, options.relu, moments);
}

std::vector<Pyramid> conv2d(Tape& tape, std::span<const Conv2dBranch> branches, const Conv2dOptions& options,
                            std::vector<RowMomentTensors>* moments) {
  TESSERA_CHECK(!branches.empty(), "conv2d: {} branches", branches.size());
  const Shape& weight = branches.front().weight.shape();
  const Conv2dWindow window = window_of(weight, branches.front().x.channels(), options);
  TESSERA_CHECK(options.stride == 1 && window.height == 2 * window.padding + 1 && window.width == window.height,
                "conv2d: weights {} with stride {} and padding {} change the extents of a pyramid", weight.to_string(),
                options.stride, options.padding);
  std::vector<Branch> over_maps;
  for (const Conv2dBranch& branch : branches) {
    const PyramidGeometry& geometry = branch.x.geometry;
    TESSERA_CHECK(branch.weight.shape() == weight && branch.x.channels() == window.in_channels,
                  "conv2d: weights {} for {} channels beside {}", branch.weight.shape().to_string(),
                  branch.x.channels(), weight.to_string());
    std::vector<Conv2dMap> maps;
    for (const PyramidLevel& level : geometry.levels()) {
      maps.push_back(
          {geometry.images(), level.height, level.width, level.height, level.width, level.row_begin, level.row_begin});
    }
    over_maps.push_back({{branch.x.rows, branch.weight, branch.bias, {}, {}, {}},
                         std::move(maps),
                         {geometry.rows(), window.out_channels}});
  }
  const std::vector<Variable> rows = run(tape, window, std::move(over_maps), options.relu, moments);
  std::vector<Pyramid> y;
  for (size_t i = 0; i < rows.size(); ++i) y.push_back({rows[i], branches[i].x.geometry});
  return y;
}

Pyramid conv2d(Tape& tape, const Pyramid& x, const Variable& weight, const Variable& bias, const Conv2dOptions& options,
               RowMomentTensors* moments) {
  const Conv2dBranch branch{x, weight, bias};
  std::vector<RowMomentTensors> of_branch;
  Pyramid y = conv2d(tape, {&branch, 1}, options, moments ? &of_branch : nullptr)[0];
  if (moments != nullptr) *moments = std::move(of_branch[0]);
  return y;
}

}  // namespace tessera
