// What group norm and batch norm share: normalise rows [.., C] over given ranges of rows and groups of channels.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"
#include "engine/ops/row_moments.h"
#include "kernels/group_norm.h"

namespace tessera {

struct NormaliseRowsOptions {
  int64_t groups;
  float epsilon;
  bool relu;
};

// What is known about x, and may be done to it.
struct NormalisedSource {
  RowMomentTensors moments;  // of the same segments: x is read once
  bool overwrite = false;    // nobody else reads x: y takes its place, unless the tape records
};

struct NormalisedRows {
  Variable y;   // shape of x
  Tensor mean;  // [segments, groups]
  Tensor rstd;  // [segments, groups], 1 / sqrt(biased variance + epsilon)
};

// The last extent of x is C; its other extents together are the rows, which the segments must cover without overlap.
NormalisedRows normalise_rows(Tape& tape, const char* op, const Variable& x, const Variable& weight,
                              const Variable& bias, const std::vector<RowRange>& segments,
                              const NormaliseRowsOptions& options, const NormalisedSource& source = {});

}  // namespace tessera
