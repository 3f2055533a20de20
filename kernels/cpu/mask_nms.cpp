#include "kernels/mask_nms.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

int64_t common_bits(const int64_t* a, const int64_t* b, int64_t words) {
  int64_t sum = 0;
  for (int64_t i = 0; i < words; ++i) sum += std::popcount(static_cast<uint64_t>(a[i] & b[i]));
  return sum;
}

}  // namespace

void mask_overlap(CpuContext& context, const MaskOverlapArgs& args) {
  const int64_t count = args.count, words = args.words_per_mask;
  // Chunks of one row each: later rows are shorter.
  parallel_chunks(context, count, 1, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = args.overlaps + i * count;
      std::fill(row, row + count, 0.0f);
      if (args.areas[i] == 0) continue;
      for (int64_t j = i + 1; j < count; ++j) {
        if (args.labels[i] != args.labels[j]) continue;
        const int64_t both = common_bits(args.words + i * words, args.words + j * words, words);
        if (both == 0) continue;
        const int64_t either = int64_t{args.areas[i]} + args.areas[j] - both;
        row[j] = static_cast<float>(static_cast<double>(both) / static_cast<double>(either));
      }
    }
  });
}

void matrix_nms(CpuContext& context, const MatrixNmsArgs& args) {
  const int64_t count = args.count;
  std::vector<float> greatest(static_cast<size_t>(count), 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = i + 1; j < count; ++j)
      greatest[static_cast<size_t>(j)] = std::max(greatest[static_cast<size_t>(j)], args.overlaps[i * count + j]);
  }
  parallel_for(context, count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      // A mask without overlap gives a factor of at least 1, the first one a factor of at most 1: the rest decides.
      double factor = 1.0;
      for (int64_t i = 0; i < j; ++i) {
        const double d = args.overlaps[i * count + j], c = greatest[static_cast<size_t>(i)];
        if (d == 0) continue;
        factor = std::min(factor,
                          args.gaussian ? std::exp(-args.sigma * (d * d - c * c)) : (1 - d) / std::max(1 - c, 1e-12));
      }
      args.decayed[j] = static_cast<float>(args.scores[j] * factor);
    }
  });
}

void greedy_nms(CpuContext&, const GreedyNmsArgs& args) {
  std::fill(args.kept, args.kept + args.count, uint8_t{1});
  for (int64_t i = 0; i < args.count; ++i) {
    if (args.kept[i] == 0) continue;
    for (int64_t j = i + 1; j < args.count; ++j) {
      if (args.overlaps[i * args.count + j] > args.threshold) args.kept[j] = 0;
    }
  }
}

}  // namespace tessera
