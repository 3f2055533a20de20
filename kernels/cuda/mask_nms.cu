// Overlap: a block of 16 x 16 threads owns 32 x 32 pairs, a thread four of them; words go through shared memory, 16 of
// every mask at a time, so a word is read once per 32 masks. Pairs of one triangle only; M^2 W / 2 words are counted:
// 130 million for 500 masks of 67,200 pixels, one 64-bit AND and population count each, which is the limit. Matrix NMS:
// a block of 32 x 8 threads owns 32 columns: lane = column, so a warp reads consecutive overlaps; thread row y takes
// rows y, y + 8, ... First the greatest overlap of every mask with one before it, then its least factor. 4 M^2 bytes
// twice, a few operations in double per overlap of masks that meet: the launches are the limit. Greedy: a warp votes on
// 64 overlaps of a row, then one block chooses (greedy_choice.h).
#include "kernels/mask_nms.h"

#include <cmath>

#include "kernels/cuda/greedy_choice.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

using Word = SuppressionWord;

constexpr int kSide = 16, kTile = 2 * kSide, kTileWords = 16;
constexpr int kColumns = 32, kRows = 8;
constexpr int kVoteThreads = 256, kChooseThreads = 256, kWordBits = kSuppressionBits;

// Block (tile of later masks, tile of masks).
__global__ void __launch_bounds__(kSide* kSide) overlap_tiles(MaskOverlapArgs args) {
  SHARED(rows, Word[kTile][kTileWords + 1]);  // padded: 16 rows at one word lie in all banks
  SHARED(columns, Word[kTile][kTileWords + 1]);
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_column = int64_t{blockIdx.x} * kTile;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  int common[2][2] = {};
  if (first_column >= first_row) {  // the same for the block
    for (int64_t begin = 0; begin < args.words_per_mask; begin += kTileWords) {
      // Thread (x, y): word x of rows y and y + 16.
      const int64_t word = begin + x;
#pragma unroll
      for (int half = 0; half < kTile; half += kSide) {
        const int64_t row = first_row + y + half, column = first_column + y + half;
        const bool inside = word < args.words_per_mask;
        rows[y + half][x] =
            inside && row < args.count ? static_cast<Word>(args.words[row * args.words_per_mask + word]) : 0;
        columns[y + half][x] =
            inside && column < args.count ? static_cast<Word>(args.words[column * args.words_per_mask + word]) : 0;
      }
      __syncthreads();
#pragma unroll 4
      for (int k = 0; k < kTileWords; ++k) {
        const Word a[2] = {rows[y][k], rows[y + kSide][k]}, b[2] = {columns[x][k], columns[x + kSide][k]};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int j = 0; j < 2; ++j) common[i][j] += __popcll(a[i] & b[j]);
        }
      }
      __syncthreads();
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t row = first_row + y + i * kSide, column = first_column + x + j * kSide;
      if (row >= args.count || column >= args.count) continue;
      float overlap = 0.0f;
      if (row < column && common[i][j] > 0 && args.labels[row] == args.labels[column]) {
        const int64_t either = int64_t{args.areas[row]} + args.areas[column] - common[i][j];
        overlap = static_cast<float>(static_cast<double>(common[i][j]) / static_cast<double>(either));
      }
      args.overlaps[row * args.count + column] = overlap;
    }
  }
}

// Combines the thread rows of a column; thread row 0 has the result.
template <typename T, typename Combine>
__device__ T combine_thread_rows(T value, Combine combine) {
  SHARED(values, T[kRows][kColumns]);
  values[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  if (threadIdx.y != 0) return value;
  for (int y = 1; y < kRows; ++y) value = combine(value, values[y][threadIdx.x]);
  return value;
}

__global__ void __launch_bounds__(kColumns* kRows) greatest_overlaps(MatrixNmsArgs args, float* greatest) {
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  float own = 0.0f;
  if (column < args.count) {
    for (int64_t row = threadIdx.y; row < column; row += kRows) {
      own = fmaxf(own, args.overlaps[row * args.count + column]);
    }
  }
  own = combine_thread_rows(own, MaximumOf{});
  if (threadIdx.y == 0 && column < args.count) greatest[column] = own;
}

// The least factor of a Gaussian is the one of the greatest exponent: one exponential per mask.
__global__ void __launch_bounds__(kColumns* kRows) decay_scores(MatrixNmsArgs args, const float* greatest) {
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  double least = args.gaussian ? 0.0 : 1.0;  // a factor of 1: the first mask has no greater one
  if (column < args.count) {
    for (int64_t row = threadIdx.y; row < column; row += kRows) {
      const double d = args.overlaps[row * args.count + column];
      if (d == 0) continue;
      const double c = greatest[row];
      least = fmin(least, args.gaussian ? -args.sigma * (d * d - c * c) : (1 - d) / fmax(1 - c, 1e-12));
    }
  }
  least = combine_thread_rows(least, MinimumOf{});
  if (threadIdx.y != 0 || column >= args.count) return;
  args.decayed[column] = static_cast<float>(args.scores[column] * (args.gaussian ? exp(least) : least));
}

// Bit j of the words of a row: it removes mask j. A warp makes a word.
__global__ void __launch_bounds__(kVoteThreads) vote_words(GreedyNmsArgs args, int64_t words, Word* removes) {
  const int64_t warps = int64_t{gridDim.x} * (kVoteThreads / 32);
  const int64_t first = int64_t{blockIdx.x} * (kVoteThreads / 32) + warp_of_block();
  for (int64_t at = first; at < args.count * words; at += warps) {  // the same for a warp
    const int64_t row = at / words, column = at % words * kWordBits + lane_of_warp();
    const auto beyond = [&](int64_t j) {
      return j > row && j < args.count && args.overlaps[row * args.count + j] > args.threshold;
    };
    const Word low = __ballot_sync(kWholeWarp, beyond(column)), high = __ballot_sync(kWholeWarp, beyond(column + 32));
    if (lane_of_warp() == 0) removes[at] = low | high << 32;
  }
}

__global__ void __launch_bounds__(kChooseThreads)
    choose_kernel(GreedyNmsArgs args, int64_t words, const Word* removes) {
  choose_greedily(removes, words, args.count, args.count, [&](int64_t first, int size, Word taken, int64_t) {
    if (static_cast<int>(threadIdx.x) < size) args.kept[first + threadIdx.x] = taken >> threadIdx.x & 1;
  });
}

}  // namespace

void mask_overlap(DeviceContext& context, const MaskOverlapArgs& args) {
  const auto tiles = static_cast<unsigned>(ceil_div<int64_t>(args.count, kTile));
  launch(overlap_tiles, dim3(tiles, tiles), dim3(kSide, kSide), 0, context, args);
}

void matrix_nms(DeviceContext& context, const MatrixNmsArgs& args) {
  Scratch<float> greatest(context, static_cast<size_t>(args.count));
  const auto blocks = static_cast<unsigned>(ceil_div<int64_t>(args.count, kColumns));
  launch(greatest_overlaps, blocks, dim3(kColumns, kRows), 0, context, args, greatest.data());
  launch(decay_scores, blocks, dim3(kColumns, kRows), 0, context, args, greatest.data());
}

void greedy_nms(DeviceContext& context, const GreedyNmsArgs& args) {
  if (args.count == 0) return;
  const int64_t words = ceil_div<int64_t>(args.count, kWordBits);
  Scratch<Word> removes(context, static_cast<size_t>(args.count * words));
  launch(vote_words, grid_for(args.count * words * 32, kVoteThreads), kVoteThreads, 0, context, args, words,
         removes.data());
  launch(choose_kernel, 1, kChooseThreads, greedy_choice_bytes(words), context, args, words, removes.data());
}

}  // namespace tessera
