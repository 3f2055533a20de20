// Statistics that an op leaves beside its output for a norm behind it (kernels/row_moments.h).
#pragma once

#include "engine/core/tensor.h"
#include "kernels/row_moments.h"

namespace tessera {

struct RowMomentTensors {
  Tensor rows;    // [P] i32, undefined: no statistics
  Tensor values;  // [P, 2, C] f32

  static RowMomentTensors empty(Context& context, const MomentParts& parts, int64_t channels, const char* op) {
    return {Tensor::empty(context, {parts.count()}, DType::i32, op),
            Tensor::empty(context, {parts.count(), 2, channels}, DType::f32, op)};
  }
  RowMoments pointers() const {
    return rows.defined() ? RowMoments{rows.data<int32_t>(), values.data<float>()} : RowMoments{};
  }
};

}  // namespace tessera
