#include "engine/ops/conv2d_group_norm.h"

namespace tessera {

namespace {

template <typename Map>
NormalisedConvolution<Map> normalised(Tape& tape, const Map& convolution, RowMomentTensors moments,
                                      const GroupNormInputs& inputs, const GroupNormOptions& options) {
  return {convolution, group_norm(tape, convolution, inputs.weight, inputs.bias, options,
                                  {.moments = std::move(moments), .overwrite = !tape.activation_observer()})};
}

}  // namespace

NormalisedConvolution<Variable> conv2d_group_norm(Tape& tape, const Conv2dInputs& inputs, const Conv2dOptions& conv,
                                                  const GroupNormInputs& norm_inputs, const GroupNormOptions& norm) {
  RowMomentTensors moments;
  const Variable convolution = conv2d(tape, inputs, conv, &moments);
  return normalised(tape, convolution, std::move(moments), norm_inputs, norm);
}

NormalisedConvolution<Pyramid> conv2d_group_norm(Tape& tape, const Pyramid& x, const Variable& weight,
                                                 const Variable& bias, const Conv2dOptions& conv,
                                                 const GroupNormInputs& norm_inputs, const GroupNormOptions& norm) {
  RowMomentTensors moments;
  const Pyramid convolution = conv2d(tape, x, weight, bias, conv, &moments);
  return normalised(tape, convolution, std::move(moments), norm_inputs, norm);
}

}  // namespace tessera
