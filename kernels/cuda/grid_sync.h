// The barrier of all threads of a cooperative launch (launch_cooperative). A header of its own: NVIDIA's costs every
// file that includes it two seconds of compilation.
#pragma once

#if defined(__CUDACC__)
#include <cooperative_groups.h>
#endif

#include "kernels/cuda/port.h"

#if defined(__CUDACC__)
namespace tessera {
inline namespace TESSERA_PORT {

__device__ __forceinline__ void grid_sync() { cooperative_groups::this_grid().sync(); }

}  // namespace TESSERA_PORT
}  // namespace tessera
#endif
