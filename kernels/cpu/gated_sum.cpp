#include "kernels/gated_sum.h"

#include <algorithm>

#include "kernels/cpu/chunked_sum.h"

namespace tessera {

namespace {

constexpr int64_t kGrain = 1 << 14;
constexpr int64_t kChunk = 1 << 14;
constexpr int64_t kBlock = 1 << 10;  // elements whose products are summed in float

template <int Branches>
void add_branches(const GatedSumForwardArgs& args, int64_t begin, int64_t end) {
  float gate[Branches];
  for (int b = 0; b < Branches; ++b) gate[b] = *args.gates[b];
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    float sum = args.x[i];
    for (int b = 0; b < Branches; ++b) sum += gate[b] * args.branches[b][i];
    args.y[i] = sum;
  }
}

}  // namespace

void gated_sum_forward(CpuContext& context, const GatedSumForwardArgs& args) {
  parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
    switch (args.branch_count) {
      case 1:
        return add_branches<1>(args, begin, end);
      case 2:
        return add_branches<2>(args, begin, end);
      case 3:
        return add_branches<3>(args, begin, end);
      default:
        return add_branches<4>(args, begin, end);
    }
  });
}

void gated_sum_backward(CpuContext& context, const GatedSumBackwardArgs& args) {
  if (args.dbranch != nullptr) {
    const float gate = *args.gate;
    parallel_for(context, args.count, kGrain, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) args.dbranch[i] = gate * args.dy[i];
    });
  }
  if (args.dgate == nullptr) return;
  const double sum = chunked_sum(context, args.count, kChunk, [&](int64_t begin, int64_t end) {
    double total = 0;
    for (int64_t first = begin; first < end; first += kBlock) {
      const int64_t last = std::min(end, first + kBlock);
      float block = 0;
#pragma omp simd reduction(+ : block)
      for (int64_t i = first; i < last; ++i) block += args.dy[i] * args.branch[i];
      total += block;
    }
    return total;
  });
  *args.dgate = static_cast<float>(sum);
}

}  // namespace tessera
