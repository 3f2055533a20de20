// The last step of suppressing overlapping candidates: of a sorted list, each that no kept one before it removes is
// kept. One block goes over the list 64 at a time: one thread finds those of the 64 that survive, one after the other
// in a word, then all threads join what these remove.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

using SuppressionWord = unsigned long long;
inline constexpr int kSuppressionBits = 64;

// Bytes of dynamic shared memory that the block needs.
inline size_t greedy_choice_bytes(int64_t words) { return static_cast<size_t>(words) * sizeof(SuppressionWord); }

// All threads of a block of at least 64 call. removes: row i has `words` words, bit j says that i removes j > i; words
// before that of i are not read. At most `most` are kept. use(first, size, taken, kept) is called by all threads for
// each 64 candidates first ... first + size - 1: bit i of `taken` is set where candidate first + i is kept, `kept`
// before them. Returns how many are kept. The same for all threads.
template <typename Use>
__device__ __forceinline__ int64_t choose_greedily(const SuppressionWord* removes, int64_t words, int64_t count,
                                                   int64_t most, Use&& use) {
  SuppressionWord* const removed = dynamic_shared<SuppressionWord>();  // [tiles] bit set: removed by a kept one
  SHARED(own_words, SuppressionWord[kSuppressionBits]);
  SHARED(chosen, SuppressionWord);
  const int64_t tiles = ceil_div<int64_t>(count, kSuppressionBits);
  for (int64_t word = threadIdx.x; word < tiles; word += blockDim.x) removed[word] = 0;
  int64_t kept = 0;
  for (int64_t tile = 0; tile < tiles && kept < most; ++tile) {
    const int64_t first = tile * kSuppressionBits;
    const SuppressionWord* rows = removes + first * words;
    const int size = static_cast<int>(min(count - first, int64_t{kSuppressionBits}));
    if (static_cast<int>(threadIdx.x) < size) own_words[threadIdx.x] = rows[threadIdx.x * words + tile];
    __syncthreads();
    if (threadIdx.x == 0) {
      SuppressionWord left = ~removed[tile] & (~SuppressionWord{0} >> (kSuppressionBits - size)), taken = 0;
      for (int64_t room = most - kept; left != 0 && room > 0; --room) {
        const int best = __ffsll(static_cast<long long>(left)) - 1;
        taken |= SuppressionWord{1} << best;
        left &= ~own_words[best] & ~(SuppressionWord{1} << best);
      }
      chosen = taken;
    }
    __syncthreads();
    const SuppressionWord taken = chosen;
    for (int64_t word = tile + 1 + threadIdx.x; word < tiles; word += blockDim.x) {
      SuppressionWord gone = 0;
      for (SuppressionWord left = taken; left != 0; left &= left - 1) {
        gone |= rows[(__ffsll(static_cast<long long>(left)) - 1) * words + word];
      }
      removed[word] |= gone;
    }
    use(first, size, taken, kept);
    kept += __popcll(taken);
    __syncthreads();
  }
  return kept;
}

}  // namespace TESSERA_PORT
}  // namespace tessera
