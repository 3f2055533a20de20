// 1 / (1 + e^-z) with full relative precision in the lower tail, where 1 - y would lose it. expf, not __expf: the fast
// one loses relative precision for large |z|.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

__device__ __forceinline__ float logistic(float z) {
  const float small = expf(-fabsf(z)), upper = 1.0f / (1.0f + small);
  return z < 0.0f ? small * upper : upper;
}

}  // namespace TESSERA_PORT
}  // namespace tessera
