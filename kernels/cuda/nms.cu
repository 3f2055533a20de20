// Three launches, nothing waits for the host:
//   1. rank: a thread per candidate counts the better ones, tile by tile through shared memory; the count is its place
//      in the sorted list. No sort has fewer launches, and 5,000 candidates are 25 M comparisons
//   2. overlap: a block of 64 threads owns 64 x 64 pairs; a thread makes one 64-bit word, bit j set when sorted
//      candidate j, later than its own, would be suppressed by it
//   3. choose: one block per image goes over the sorted candidates (greedy_choice.h) and ends when the result is full
// Bytes: capacity^2 / 8 for the words of an image (3.1 MB for 5,000; only the upper half is written, only the rows of
// kept candidates are read). 12.5 M overlaps of 15 operations.
#include "kernels/nms.h"

#include <cmath>

#include "kernels/cuda/candidate_list.h"
#include "kernels/cuda/greedy_choice.h"
#include "kernels/cuda/rank_key.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

using Word = SuppressionWord;

constexpr int kRankThreads = 256, kTile = kSuppressionBits, kChooseThreads = 256;

struct Sorted {
  float4* boxes;     // [images, capacity] best first
  int32_t* classes;  // [images, capacity]
  int32_t* places;   // [images, capacity] in the unsorted list
  int32_t* counts;   // [images] without scores that are no numbers
  Word* suppressed;  // [images, capacity, words]
  int64_t words;     // of a row, one bit per candidate
};

__global__ void __launch_bounds__(kRankThreads) rank_kernel(CandidateArgs from, Sorted sorted) {
  SHARED(others, RankKey[kRankThreads]);
  const int64_t image = blockIdx.y, begin = image * from.capacity, count = from.counts[image];
  const int64_t first = int64_t{blockIdx.x} * kRankThreads, at = first + threadIdx.x;
  if (first >= count && first > 0) return;  // the first block also writes the count
  const auto key_of = [&](int64_t i) {
    return i < count ? RankKey{from.scores[begin + i], from.rows[begin + i], from.classes[begin + i]}
                     : RankKey{NAN, 0, 0};
  };
  const RankKey own = key_of(at);
  int32_t rank = 0, numbers = 0;
  for (int64_t tile = 0; tile < count; tile += kRankThreads) {
    others[threadIdx.x] = key_of(tile + threadIdx.x);
    __syncthreads();
    const int size = static_cast<int>(min(count - tile, int64_t{kRankThreads}));
    for (int i = 0; i < size; ++i) {
      const bool number = others[i].score == others[i].score;  // a NaN has no place in an order
      numbers += number ? 1 : 0;
      rank += number && better(others[i], own, tile + i < at) ? 1 : 0;
    }
    __syncthreads();
  }
  if (at == 0) sorted.counts[image] = numbers;
  if (at >= count || own.score != own.score) return;
  const float* box = from.boxes + 4 * (begin + at);
  sorted.boxes[begin + rank] = make_float4(box[0], box[1], box[2], box[3]);
  sorted.classes[begin + rank] = own.label;
  sorted.places[begin + rank] = static_cast<int32_t>(at);
}

__device__ __forceinline__ float area_of(const float4& box) { return (box.z - box.x) * (box.w - box.y); }

// Two empty boxes give 0 / 0: no overlap.
__device__ __forceinline__ float overlap_of(const float4& a, const float4& b) {
  const float width = fmaxf(fminf(a.z, b.z) - fmaxf(a.x, b.x), 0.0f);
  const float height = fmaxf(fminf(a.w, b.w) - fmaxf(a.y, b.y), 0.0f);
  const float shared = width * height;
  return shared / (area_of(a) + area_of(b) - shared);
}

// Block (64 later candidates, 64 candidates, image).
__global__ void __launch_bounds__(kTile)
    overlap_kernel(Sorted sorted, int64_t capacity, float threshold, bool class_aware) {
  SHARED(boxes, float4[kTile]);
  SHARED(classes, int32_t[kTile]);
  const int64_t image = blockIdx.z, count = sorted.counts[image], row_tile = blockIdx.y, column_tile = blockIdx.x;
  const int64_t row = row_tile * kTile + threadIdx.x, column = column_tile * kTile + threadIdx.x;
  if (column_tile < row_tile || row_tile * kTile >= count || column_tile * kTile >= count) return;
  if (column < count) {
    boxes[threadIdx.x] = sorted.boxes[image * capacity + column];
    classes[threadIdx.x] = sorted.classes[image * capacity + column];
  }
  __syncthreads();
  if (row >= count) return;
  const float4 box = sorted.boxes[image * capacity + row];
  const int32_t category = sorted.classes[image * capacity + row];
  const int size = static_cast<int>(min(count - column_tile * kTile, int64_t{kTile}));
  Word word = 0;
  for (int i = row_tile == column_tile ? static_cast<int>(threadIdx.x) + 1 : 0; i < size; ++i) {
    const bool same = !class_aware || classes[i] == category;
    if (same && overlap_of(box, boxes[i]) > threshold) word |= Word{1} << i;
  }
  sorted.suppressed[(image * capacity + row) * sorted.words + column_tile] = word;
}

__global__ void __launch_bounds__(kChooseThreads) choose_kernel(Sorted sorted, CandidateArgs from, CandidateArgs to) {
  const int64_t image = blockIdx.x, begin = image * from.capacity, count = sorted.counts[image];
  const Word* removes = sorted.suppressed + begin * sorted.words;
  const int64_t kept = choose_greedily(
      removes, sorted.words, count, to.capacity, [&](int64_t first, int size, Word taken, int64_t before) {
        if (static_cast<int>(threadIdx.x) >= size || (taken >> threadIdx.x & 1) == 0) return;
        const int64_t place = before + __popcll(taken & ((Word{1} << threadIdx.x) - 1));
        const float4 box = sorted.boxes[begin + first + threadIdx.x];
        const int64_t source = begin + sorted.places[begin + first + threadIdx.x];
        write_candidate(to, image * to.capacity + place,
                        {{box.x, box.y, box.z, box.w}, from.scores[source], from.classes[source], from.rows[source]});
      });
  for (int64_t place = kept + threadIdx.x; place < to.capacity; place += kChooseThreads) {
    write_candidate(to, image * to.capacity + place, CandidateEntry{});
  }
  if (threadIdx.x == 0) to.counts[image] = static_cast<int32_t>(kept);
}

}  // namespace

void nms(DeviceContext& context, const NmsArgs& args) {
  const CandidateArgs& from = args.candidates;
  const auto places = static_cast<size_t>(from.images * from.capacity);
  const int64_t words = ceil_div<int64_t>(from.capacity, kTile);
  Scratch<float4> boxes(context, places);
  Scratch<int32_t> classes(context, places), order(context, places), counts(context, static_cast<size_t>(from.images));
  Scratch<Word> suppressed(context, places * static_cast<size_t>(words));
  const Sorted sorted{boxes.data(), classes.data(), order.data(), counts.data(), suppressed.data(), words};
  const auto images = static_cast<unsigned>(from.images), tiles = static_cast<unsigned>(words);
  const int64_t rank_blocks = ceil_div<int64_t>(from.capacity, kRankThreads);
  launch(rank_kernel, dim3(static_cast<unsigned>(rank_blocks > 0 ? rank_blocks : 1), images), kRankThreads, 0, context,
         from, sorted);
  launch(overlap_kernel, dim3(tiles, tiles, images), kTile, 0, context, sorted, from.capacity, args.iou_threshold,
         args.class_aware);
  launch(choose_kernel, images, kChooseThreads, greedy_choice_bytes(words), context, sorted, from, args.kept);
}

}  // namespace tessera
