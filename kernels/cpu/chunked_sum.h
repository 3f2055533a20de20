// Sums whose bits do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/parallel.h"

namespace tessera {

// Sum of body(begin, end) -> double over chunks of fixed size, added in order of the chunks.
template <typename Body>
double chunked_sum(CpuContext& context, int64_t count, int64_t chunk_size, Body&& body) {
  if (count <= 0) return 0;
  const int64_t chunks = (count + chunk_size - 1) / chunk_size;
  Scratch<double> partial(context, static_cast<size_t>(chunks));
  parallel_chunks(context, count, chunk_size, [&](int64_t chunk, int64_t begin, int64_t end) {
    partial[static_cast<size_t>(chunk)] = body(begin, end);
  });
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[static_cast<size_t>(chunk)];
  return sum;
}

}  // namespace tessera
