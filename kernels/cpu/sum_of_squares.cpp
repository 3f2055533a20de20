#include "kernels/sum_of_squares.h"

#include <array>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace tessera {

void sum_of_squares(CpuContext& context, const SumOfSquaresArgs& args) {
  constexpr int64_t kChunk = 1 << 16;
  constexpr int64_t kLanes = 16;  // independent sums, so that the loop vectorises without reordering an addition
  std::vector<double> partial(static_cast<size_t>((args.count + kChunk - 1) / kChunk));
  parallel_chunks(context, args.count, kChunk, [&](int64_t chunk, int64_t begin, int64_t end) {
    std::array<double, kLanes> lanes{};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const double x = args.x[i + lane];
        lanes[static_cast<size_t>(lane)] += x * x;
      }
    }
    for (; i < end; ++i) lanes[0] += double{args.x[i]} * args.x[i];
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    partial[static_cast<size_t>(chunk)] = sum;
  });
  *args.sum = 0;
  for (const double sum : partial) *args.sum += sum;
}

}  // namespace tessera
