// A ring of stages in shared memory, filled by asynchronous copies ahead of the computation that reads them: while a
// block computes on one stage, the copies of the next stages - 1 are under way. One barrier a step.
#pragma once

#include "kernels/cuda/async_copy.h"

namespace tessera {
inline namespace TESSERA_PORT {

// All threads of the block call. fetch(stage) issues copies of the next step into a stage and is called `steps` times,
// without a wait of its own; compute(stage) reads a stage that all threads have filled. After the return copies have
// landed, but other threads may still compute: a barrier before the stages are used for something else.
template <int stages, typename Fetch, typename Compute>
__device__ __forceinline__ void copy_pipeline(int steps, Fetch&& fetch, Compute&& compute) {
  static_assert(stages >= 2);
#pragma unroll
  for (int step = 0; step < stages - 1; ++step) {
    if (step < steps) fetch(step);
    copy_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<stages - 2>();
    __syncthreads();  // the step is in place, and nobody reads the stage that the next fetch overwrites
    const int ahead = step + stages - 1;
    if (ahead < steps) fetch(ahead % stages);
    copy_async_commit();
    compute(step % stages);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
