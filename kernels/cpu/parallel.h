// Loops over the threads of a CpuContext. The pool is OpenMP's.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// Calls body(begin, end) for consecutive pieces of [0, count), in parallel. `grain` is the least amount of work per
// piece worth a thread. The pieces depend on the thread count: a reduction over them must use parallel_chunks.
template <typename Body>
void parallel_for(const CpuContext& context, int64_t count, int64_t grain, Body&& body) {
  const int64_t most = std::max<int64_t>(1, count / std::max<int64_t>(1, grain));
  const int pieces = static_cast<int>(std::min<int64_t>(context.threads(), most));
  if (count <= 0) return;
  if (pieces <= 1) {
    body(int64_t{0}, count);
    return;
  }
#pragma omp parallel for num_threads(pieces) schedule(static, 1)
  for (int piece = 0; piece < pieces; ++piece) body(count * piece / pieces, count * (piece + 1) / pieces);
}

// Calls body(chunk, begin, end) for chunks of fixed size `chunk_size`, whatever the number of threads: partial results
// indexed by `chunk` and combined in order give the same bits for any number of threads.
template <typename Body>
void parallel_chunks(const CpuContext& context, int64_t count, int64_t chunk_size, Body&& body) {
  const int64_t chunks = (count + chunk_size - 1) / chunk_size;
#pragma omp parallel for num_threads(context.threads()) schedule(dynamic, 1) if (chunks > 1)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    body(chunk, chunk * chunk_size, std::min(count, (chunk + 1) * chunk_size));
  }
}

}  // namespace tessera
