// A convolution and the group norm behind it: relu?(group_norm(conv2d(x))). The convolution leaves statistics of what
// it writes (kernels/row_moments.h), so the norm reads that once instead of twice, and in place when nobody else wants
// it.
#pragma once

#include "engine/ops/conv2d.h"
#include "engine/ops/group_norm.h"

namespace tessera {

struct GroupNormInputs {
  Variable weight;  // [O]
  Variable bias;    // [O]
};

// y has the shape of the convolution's output. convolution is that output, for observers: where the tape neither
// records nor is observed it has been overwritten with y. Gradients are those of the two ops, which the tape holds one
// by one.
template <typename Map>
struct NormalisedConvolution {
  Map convolution, y;
};

NormalisedConvolution<Variable> conv2d_group_norm(Tape& tape, const Conv2dInputs& inputs, const Conv2dOptions& conv,
                                                  const GroupNormInputs& norm_inputs, const GroupNormOptions& norm);
NormalisedConvolution<Pyramid> conv2d_group_norm(Tape& tape, const Pyramid& x, const Variable& weight,
                                                 const Variable& bias, const Conv2dOptions& conv,
                                                 const GroupNormInputs& norm_inputs, const GroupNormOptions& norm);
// Branches of one convolution, each with its norm.
std::vector<NormalisedConvolution<Pyramid>> conv2d_group_norm(Tape& tape, std::span<const Conv2dBranch> branches,
                                                              const Conv2dOptions& conv,
                                                              std::span<const GroupNormInputs> norm_inputs,
                                                              const GroupNormOptions& norm);

}  // namespace tessera
