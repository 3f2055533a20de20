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

std::vector<NormalisedConvolution<Pyramid>> conv2d_group_norm(Tape& tape, std::span<const Conv2dBranch> branches,
                                                              const Conv2dOptions& conv,
                                                              std::span<const GroupNormInputs> norm_inputs,
                                                              const GroupNormOptions& norm) {
  TESSERA_CHECK(norm_inputs.size() == branches.size(), "{} norms for {} branches", norm_inputs.size(), branches.size());
  std::vector<RowMomentTensors> moments;
  const std::vector<Pyramid> convolutions = conv2d(tape, branches, conv, &moments);
  std::vector<NormalisedConvolution<Pyramid>> results;
  for (size_t i = 0; i < convolutions.size(); ++i) {
    results.push_back(normalised(tape, convolutions[i], std::move(moments[i]), norm_inputs[i], norm));
  }
  return results;
}

NormalisedConvolution<Pyramid> conv2d_group_norm(Tape& tape, const Pyramid& x, const Variable& weight,
                                                 const Variable& bias, const Conv2dOptions& conv,
                                                 const GroupNormInputs& norm_inputs, const GroupNormOptions& norm) {
  const Conv2dBranch branch{x, weight, bias};
  return conv2d_group_norm(tape, {&branch, 1}, conv, {&norm_inputs, 1}, norm)[0];
}

}  // namespace tessera
