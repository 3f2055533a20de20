// rank_scores: a thread per score counts the better ones, 256 at a time through shared memory; the count is its place
// among the best. A few thousand scores are a few million comparisons, less than the launches of a sort cost.
// take_rows: a thread per word. weigh_masks, keep_scores: a thread per candidate. Bytes and arithmetic are negligible.
#include "kernels/mask_candidates.h"

#include <cmath>

#include "kernels/cuda/port.h"
#include "kernels/cuda/rank_key.h"

namespace tessera {

namespace {

constexpr int kMaskCandidatesThreads = 256;

__global__ void __launch_bounds__(kMaskCandidatesThreads) rank_kernel(RankScoresArgs args) {
  SHARED(others, RankKey[kMaskCandidatesThreads]);
  int64_t used = args.count;
  if (args.valid != nullptr) used = max(int64_t{0}, min(int64_t{*args.valid}, args.count));
  const int64_t at = int64_t{blockIdx.x} * kMaskCandidatesThreads + threadIdx.x;
  // A score that takes no part becomes NaN: no comparison with it holds.
  const auto key_of = [&](int64_t i) {
    if (i >= used || !(args.scores[i] >= args.least)) return RankKey{NAN, 0, 0};
    return RankKey{args.scores[i], args.rows != nullptr ? args.rows[i] : 0,
                   args.labels != nullptr ? args.labels[i] : 0};
  };
  const RankKey own = key_of(at);
  int64_t rank = 0, numbers = 0;
  for (int64_t tile = 0; tile < used; tile += kMaskCandidatesThreads) {
    others[threadIdx.x] = key_of(tile + threadIdx.x);
    __syncthreads();
    const int size = static_cast<int>(min(used - tile, int64_t{kMaskCandidatesThreads}));
    for (int i = 0; i < size; ++i) {
      const bool number = others[i].score == others[i].score;
      numbers += number ? 1 : 0;
      rank += number && better(others[i], own, tile + i < at) ? 1 : 0;
    }
    __syncthreads();
  }
  const int64_t kept = min(numbers, args.capacity);
  if (own.score == own.score && rank < kept) args.places[rank] = static_cast<int32_t>(at);
  if (at == 0) *args.kept = static_cast<int32_t>(kept);
  const int64_t threads = int64_t{gridDim.x} * kMaskCandidatesThreads;
  for (int64_t place = at; place < args.capacity; place += threads) {
    if (place >= kept) args.places[place] = 0;
  }
}

__global__ void __launch_bounds__(kMaskCandidatesThreads) take_kernel(TakeRowsArgs args) {
  for_each_element(args.capacity * args.width, [&](int64_t i) {
    const int64_t row = i / args.width;
    args.to[i] = row < *args.kept ? args.from[args.places[row] * args.width + i % args.width] : 0;
  });
}

__global__ void __launch_bounds__(kMaskCandidatesThreads) weigh_kernel(WeighMasksArgs args) {
  for_each_element(args.count, [&](int64_t i) {
    args.weighed[i] = args.areas[i] > args.least_areas[i] ? args.scores[i] * args.maskness[i] : -1.0f;
  });
}

__global__ void __launch_bounds__(kMaskCandidatesThreads) keep_kernel(KeepScoresArgs args) {
  for_each_element(args.count, [&](int64_t i) { args.result[i] = args.kept[i] != 0 ? args.scores[i] : -1.0f; });
}

}  // namespace

void rank_scores(DeviceContext& context, const RankScoresArgs& args) {
  const int64_t blocks = ceil_div<int64_t>(args.count, kMaskCandidatesThreads);
  launch(rank_kernel, static_cast<unsigned>(blocks > 0 ? blocks : 1), kMaskCandidatesThreads, 0, context, args);
}

void take_rows(DeviceContext& context, const TakeRowsArgs& args) {
  launch(take_kernel, grid_for(args.capacity * args.width, kMaskCandidatesThreads), kMaskCandidatesThreads, 0, context,
         args);
}

void weigh_masks(DeviceContext& context, const WeighMasksArgs& args) {
  launch(weigh_kernel, grid_for(args.count, kMaskCandidatesThreads), kMaskCandidatesThreads, 0, context, args);
}

void keep_scores(DeviceContext& context, const KeepScoresArgs& args) {
  launch(keep_kernel, grid_for(args.count, kMaskCandidatesThreads), kMaskCandidatesThreads, 0, context, args);
}

}  // namespace tessera
