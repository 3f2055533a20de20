// A candidate is one 64-bit key: the bits of its value (not negative, so they order as integers) above the complement
// of its place in (row, class) order. Keys differ, and a greater key is a better candidate: the total order of
// kernels/select_top_k.h, whatever order threads run in. Four launches, nothing waits for the host:
//   1. counters to zero
//   2. scan: blocks of 256 threads own 2048 consecutive logits of one image and level; the few that pass are appended
//   to
//      the list of their group, one atomic addition per warp that found any
//   3. one block per group finds the k-th largest key: radix select, 8 bits at a time from the top, a histogram in
//      shared memory; it ends as soon as a digit decides. The keys from there on are copied out, in any order
//   4. a thread per selected key counts the greater ones: its rank is its place
// Bytes: the logits once, 4 per logit. Step 3 reads the n passing keys at most 9 times: 8 n <= 72 KB for the usual
// thousand. Lists hold as many keys as there are logits, so no input is too many: 8 bytes of scratch per logit, for 80
// classes less than one layer of the tower that made them, which is free again by then.
#include "kernels/select_top_k.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/level_table.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

using Key = unsigned long long;

constexpr int kSelectTopKThreads = 256, kPerThread = 8, kChunk = kSelectTopKThreads * kPerThread;
constexpr int kSelectThreads = 1024, kDigits = 256, kDigitBits = 8;

struct KeyLists {
  Key* passing;        // [all logits]; group g from its first logit on
  int32_t* found;      // [groups] passing keys
  Key* selected;       // [groups, k]
  int32_t* remaining;  // [groups] selected keys
};

// First logit, in elements, of a level of an image.
__device__ __forceinline__ int64_t first_logit(const SelectTopKArgs& args, const LevelTable& levels, int64_t image,
                                               int64_t level) {
  return (levels.level[level].row_begin + image * levels.cells(level)) * args.class_count;
}

__device__ __forceinline__ double probability(float logit) { return 1.0 / (1.0 + exp(-static_cast<double>(logit))); }

// Whether a logit above the bound is a candidate, and its value.
__device__ __forceinline__ bool passes(const SelectTopKArgs& args, float logit, int64_t row, float& value) {
  const double of_class = args.rule == CandidateRule::given ? logit : probability(logit);
  const double quality = args.quality_logits != nullptr ? probability(args.quality_logits[row]) : 1.0;
  value = static_cast<float>(of_class * quality);
  const float compared = args.rule == CandidateRule::class_probability ? static_cast<float>(of_class)
                         : args.rule == CandidateRule::root_of_product ? sqrtf(value)
                                                                       : value;
  return compared > args.threshold && value == value;
}

__global__ void clear_counts(int32_t* found, int64_t groups) {
  for_each_element(groups, [&](int64_t group) { found[group] = 0; });
}

// Block (chunk of a level, image) of level `level`.
__global__ void __launch_bounds__(kSelectTopKThreads)
    scan_level(SelectTopKArgs args, LevelTable levels, int64_t level, float bound, KeyLists lists) {
  const int64_t image = blockIdx.y, count = levels.cells(level) * args.class_count;
  const int64_t first = first_logit(args, levels, image, level), begin = int64_t{blockIdx.x} * kChunk;
  const int64_t group = image * args.level_count + level;
  const int lane = lane_of_warp();
  float logits[kPerThread];
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t at = begin + i * kSelectTopKThreads + threadIdx.x;
    logits[i] = at < count ? args.class_logits[first + at] : -INFINITY;
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    if (!__any_sync(kWholeWarp, logits[i] > bound)) continue;
    const int64_t at = begin + i * kSelectTopKThreads + threadIdx.x;
    float value = 0.0f;
    const bool pass = logits[i] > bound && passes(args, logits[i], (first + at) / args.class_count, value);
    const unsigned votes = __ballot_sync(kWholeWarp, pass);
    if (votes == 0) continue;
    int32_t place = 0;
    if (lane == 0) place = atomicAdd(lists.found + group, __popc(votes));
    place = __shfl_sync(kWholeWarp, place, 0) + __popc(votes & ((1u << lane) - 1u));
    if (pass) {
      lists.passing[first + place] = Key{__float_as_uint(value)} << 32 | (0xffffffffu - static_cast<uint32_t>(at));
    }
  }
}

// Warp 0 finds the digit d whose bin holds the wanted-th largest: fewer than `wanted` keys have greater digits, at
// least that many have d or greater. Lane l owns eight bins, the greatest digits first.
__device__ __forceinline__ void find_digit(const int32_t* histogram, int32_t wanted, int32_t* digit, int32_t* above) {
  constexpr int kBins = kDigits / 32;
  const int lane = lane_of_warp();
  int32_t bins[kBins], sum = 0;
#pragma unroll
  for (int i = 0; i < kBins; ++i) {
    bins[i] = histogram[kDigits - 1 - (lane * kBins + i)];
    sum += bins[i];
  }
  int32_t before = sum;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int32_t other = __shfl_up_sync(kWholeWarp, before, distance);
    if (lane >= distance) before += other;
  }
  before -= sum;
  if (before >= wanted || before + sum < wanted) return;
  int32_t greater = before;
  int found = -1;
#pragma unroll
  for (int i = 0; i < kBins; ++i) {
    if (found < 0 && greater + bins[i] >= wanted) found = i;
    if (found < 0) greater += bins[i];
  }
  *digit = kDigits - 1 - (lane * kBins + found);
  *above = greater;
}

// Block: one group. Copies its k largest keys to `selected`.
__global__ void __launch_bounds__(kSelectThreads) select_keys(SelectTopKArgs args, LevelTable levels, KeyLists lists) {
  SHARED(histogram, int32_t[kDigits]);
  SHARED(digit, int32_t);
  SHARED(above, int32_t);
  SHARED(copied, int32_t);
  const int64_t group = blockIdx.x, image = group / args.level_count, level = group % args.level_count;
  const Key* keys = lists.passing + first_logit(args, levels, image, level);
  const int32_t count = lists.found[group];
  const int32_t kept = count < args.k ? count : static_cast<int32_t>(args.k);
  Key least = 0;  // of the selected keys
  if (kept < count) {
    int32_t wanted = kept, in_bin = count;  // keys still to be chosen from those that agree in the digits so far
    for (int shift = 64 - kDigitBits; shift >= 0 && wanted < in_bin; shift -= kDigitBits) {
      for (int i = threadIdx.x; i < kDigits; i += kSelectThreads) histogram[i] = 0;
      __syncthreads();
      for (int32_t i = threadIdx.x; i < count; i += kSelectThreads) {
        const Key key = keys[i];
        // Shifts in two steps: one of 64 bits is not defined.
        if (((key ^ least) >> shift >> kDigitBits) == 0) atomicAdd(&histogram[key >> shift & (kDigits - 1)], 1);
      }
      __syncthreads();
      if (threadIdx.x < 32) find_digit(histogram, wanted, &digit, &above);
      __syncthreads();
      least |= static_cast<Key>(digit) << shift;
      wanted -= above;
      in_bin = histogram[digit];
      __syncthreads();
    }
  }
  if (threadIdx.x == 0) copied = 0;
  __syncthreads();
  for (int32_t i = threadIdx.x; i < count; i += kSelectThreads) {
    const Key key = keys[i];
    if (key >= least) lists.selected[group * args.k + atomicAdd(&copied, 1)] = key;
  }
  if (threadIdx.x == 0) {
    lists.remaining[group] = kept;
    args.counts[group] = kept;
  }
}

// Block: 256 places of one group. A selected key goes to the place that its rank names; places beyond the count are
// cleared.
__global__ void __launch_bounds__(kSelectTopKThreads)
    order_keys(SelectTopKArgs args, LevelTable levels, KeyLists lists) {
  SHARED(others, Key[kSelectTopKThreads]);
  const int64_t group = blockIdx.y, image = group / args.level_count, level = group % args.level_count;
  const Key* keys = lists.selected + group * args.k;
  const int64_t place = int64_t{blockIdx.x} * kSelectTopKThreads + threadIdx.x, count = lists.remaining[group];
  const Key key = place < count ? keys[place] : 0;
  int64_t rank = 0;
  if (int64_t{blockIdx.x} * kSelectTopKThreads < count) {
    for (int64_t begin = 0; begin < count; begin += kSelectTopKThreads) {
      others[threadIdx.x] = begin + threadIdx.x < count ? keys[begin + threadIdx.x] : 0;
      __syncthreads();
      const int tile = static_cast<int>(min(count - begin, int64_t{kSelectTopKThreads}));
      for (int i = 0; i < tile; ++i) rank += others[i] > key ? 1 : 0;
      __syncthreads();
    }
  }
  if (place >= args.k) return;
  const bool used = place < count;
  const int64_t to = group * args.k + (used ? rank : place);
  const int64_t at = first_logit(args, levels, image, level) + (0xffffffffu - static_cast<uint32_t>(key));
  args.values[to] = used ? __uint_as_float(static_cast<uint32_t>(key >> 32)) : 0.0f;
  args.rows[to] = used ? static_cast<int32_t>(at / args.class_count) : 0;
  args.classes[to] = used ? static_cast<int32_t>(at % args.class_count) : 0;
}

// A logit at or below this cannot pass: the logit of the least class probability, with a margin for rounding. A
// quality of at most 1 only lowers the product, so the class probability alone must reach the threshold.
float logit_bound(const SelectTopKArgs& args) {
  if (args.rule == CandidateRule::given) return args.threshold;
  const double threshold = args.threshold;
  const double least = args.rule == CandidateRule::root_of_product ? threshold * threshold : threshold;
  if (least <= 0) return -std::numeric_limits<float>::infinity();
  if (least >= 1) return std::numeric_limits<float>::infinity();
  const double logit = std::log(least / (1 - least));
  return static_cast<float>(logit - 1e-4 * (1 + std::abs(logit)));
}

}  // namespace

void select_top_k(DeviceContext& context, const SelectTopKArgs& args) {
  const LevelTable levels(args.levels, args.level_count);
  const int64_t groups = args.images * args.level_count;
  int64_t rows = 0;
  for (int64_t level = 0; level < args.level_count; ++level) {
    const int64_t end =
        args.levels[level].row_begin + args.images * args.levels[level].height * args.levels[level].width;
    rows = end > rows ? end : rows;
  }
  Scratch<Key> passing(context, static_cast<size_t>(rows * args.class_count));
  Scratch<Key> selected(context, static_cast<size_t>(groups * args.k));
  Scratch<int32_t> counts(context, static_cast<size_t>(2 * groups));
  const KeyLists lists{passing.data(), counts.data(), selected.data(), counts.data() + groups};
  launch(clear_counts, grid_for(groups, kSelectTopKThreads), kSelectTopKThreads, 0, context, lists.found, groups);
  const float bound = logit_bound(args);
  for (int64_t level = 0; level < args.level_count; ++level) {
    const int64_t logits = args.levels[level].height * args.levels[level].width * args.class_count;
    launch(scan_level,
           dim3(static_cast<unsigned>(ceil_div<int64_t>(logits, kChunk)), static_cast<unsigned>(args.images)),
           kSelectTopKThreads, 0, context, args, levels, level, bound, lists);
  }
  launch(select_keys, static_cast<unsigned>(groups), kSelectThreads, 0, context, args, levels, lists);
  launch(order_keys,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(args.k, kSelectTopKThreads)), static_cast<unsigned>(groups)),
         kSelectTopKThreads, 0, context, args, levels, lists);
}

}  // namespace tessera
