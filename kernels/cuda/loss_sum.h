// The sum of a loss: each block leaves one partial sum, then one block adds them in order. The number of blocks depends
// on the shapes alone, so the result has the same bits in every run.
#pragma once

#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kLossSumThreads = 256;

// Thread t adds the partial sums t, t + 256, ... in order; count may be 0.
static __global__ void __launch_bounds__(kLossSumThreads)
    add_partial_losses(const double* partial, int64_t count, double scale, float* loss) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kLossSumThreads) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum * scale);
}

// *loss = scale * sum of partial[0 .. count).
inline void sum_loss(DeviceContext& context, const double* partial, int64_t count, double scale, float* loss) {
  launch(add_partial_losses, 1, kLossSumThreads, 0, context, partial, count, scale, loss);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
