#include "kernels/finite_check.h"

#include <cstring>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

// On the bits: floating-point comparisons with NaN are at the mercy of compiler flags.
bool is_bad(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7f800000u) == 0x7f800000u;
}

}  // namespace

void finite_check(CpuContext& context, const FiniteCheckArgs& args) {
  constexpr int64_t kChunk = 1 << 16;
  std::vector<int32_t> bad(static_cast<size_t>((args.count + kChunk - 1) / kChunk));
  parallel_chunks(context, args.count, kChunk, [&](int64_t chunk, int64_t begin, int64_t end) {
    int32_t found = 0;
#pragma omp simd reduction(+ : found)
    for (int64_t i = begin; i < end; ++i) found += is_bad(args.x[i]) ? 1 : 0;
    bad[static_cast<size_t>(chunk)] = found;
  });
  *args.bad = 0;
  *args.first = -1;
  for (size_t chunk = 0; chunk < bad.size(); ++chunk) {
    *args.bad += bad[chunk];
    if (bad[chunk] == 0 || *args.first >= 0) continue;
    *args.first = static_cast<int64_t>(chunk) * kChunk;
    while (!is_bad(args.x[*args.first])) ++*args.first;
  }
}

}  // namespace tessera
