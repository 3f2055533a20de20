// Group normalisation over the pixels of each image and C / groups consecutive channels, biased variance, with affine
// weight [C], bias [C] and an optional fused ReLU. On a pyramid the statistics are per image and level, padding area
// included (specification, section 0; same numbers as torch.nn.functional.group_norm on each level). Statistics are
// accumulated in double from partial sums of fixed size: the result does not depend on the number of threads.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/ops/normalise_rows.h"

namespace tessera {

struct GroupNormOptions {
  int groups = 32;  // divides C
  float epsilon = 1e-5f;
  bool relu = false;
};

// x [N, H, W, C] -> [N, H, W, C]. conv2d_group_norm gives the source.
Variable group_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias,
                    const GroupNormOptions& options = {}, const NormalisedSource& source = {});
Pyramid group_norm(Tape& tape, const Pyramid& x, const Variable& weight, const Variable& bias,
                   const GroupNormOptions& options = {}, const NormalisedSource& source = {});

}  // namespace tessera
