// What the tile kernels of attention share: arguments, sizes of tiles, copies of rows to shared memory.
// A block of four warps owns 64 rows of one head (queries, or keys in their gradient), 16 a warp, and walks the rows of
// the other side in tiles through the ring of copy_pipeline.h. A head of e channels runs with the next larger `width`
// of 16, 32, 64, 128: what is missing are zeros that the copies write.
#pragma once

#include "kernels/cuda/attention_product.h"
#include "kernels/cuda/copy_pipeline.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kAttentionWarps = 4, kAttentionThreads = 32 * kAttentionWarps;
inline constexpr int kAttentionRows = kAttentionWarps * kWarpRows, kAttentionStages = 2;
inline constexpr int kWidestHead = 128;
inline constexpr float kLog2E = 1.44269504088896341f;

// Rows of operands are heads * stored elements, `stored` a multiple of 16 bytes, in the type of the precision.
struct AttentionTiles {
  const void *query, *key, *value, *dy;
  float* y;
  float* new_log_sum;                   // [N, heads, L], or null
  const float *log_sum, *row_products;  // [N, heads, L]: of the forward pass, and D
  float *dquery, *dkey, *dvalue;
  int sequences, queries, keys, heads, width, stored;
  float scale;   // 1 / sqrt(width)
  bool vectors;  // rows of results may be written four floats at a time
};

// Rows of the other side in a stage: as many as fit a number of bytes, within what the products want and registers
// hold.
template <ConvMath math, int width>
struct TileShape {
  using Element = ConvElement<math>;
  static constexpr int kRowBytes = width * int{sizeof(Element)}, kChunks = kRowBytes / kTileChunk;
  static constexpr int rows_in(int bytes, int most) {
    const int least = math == ConvMath::fp32 ? 8 : 16, rows = bytes / kRowBytes;
    return rows > most ? most : rows < least ? least : rows;
  }
  // Forward: its own tile, in every stage keys and values. Gradients: two tiles of its own, two and the statistics of
  // queries in a stage. Behind them the weights of fp32.
  static constexpr int kForwardRows = rows_in(8192, 64);
  static constexpr int kGradientRows = rows_in(4096, math == ConvMath::fp32 ? 32 : 64);
  static constexpr int kOwnBytes = kAttentionRows * kRowBytes;
  static constexpr int weight_bytes(int rows) {
    return math == ConvMath::fp32 ? kWarpRows * rows * 4 : 0;
  }  // of a warp
  static constexpr int kForwardBytes =
      kOwnBytes + kAttentionStages * 2 * kForwardRows * kRowBytes + kAttentionWarps * weight_bytes(kForwardRows);
  static constexpr int kStatisticsBytes = kAttentionStages * 2 * kGradientRows * 4;
  static constexpr int kGradientBytes = 2 * kOwnBytes + kAttentionStages * 2 * kGradientRows * kRowBytes +
                                        kStatisticsBytes + kAttentionWarps * weight_bytes(kGradientRows);
  static constexpr int kRoomFor = 100 * 1024 / (kGradientBytes + 1024);  // a multiprocessor of compute capability 8.6
  static constexpr int kGradientBlocks = kRoomFor < 3 ? kRoomFor : 3;
  static_assert(kForwardBytes <= 99 * 1024 && kGradientBytes <= 99 * 1024);
};

// A head's rows of one operand in a sequence.
template <typename Element>
struct HeadRows {
  const Element* first;
  int64_t stride;
  int count, stored;

  __device__ __forceinline__ HeadRows(const void* operand, const AttentionTiles& args, int sequence, int head, int rows)
      : first(static_cast<const Element*>(operand) + (int64_t{sequence} * rows * args.heads + head) * args.stored),
        stride(int64_t{args.heads} * args.stored),
        count(rows),
        stored(args.stored) {}

  // All threads of the block issue copies of `rows` rows from row `begin` on; zeros behind the last row and channel.
  template <int rows, int chunks>
  __device__ __forceinline__ void copy(int begin, char* tile) const {
    constexpr int kElements = kTileChunk / int{sizeof(Element)}, kPassRows = kAttentionThreads / chunks;
    static_assert(kAttentionThreads % chunks == 0 && rows % kPassRows == 0);
    const int row = static_cast<int>(threadIdx.x) / chunks, chunk = static_cast<int>(threadIdx.x) % chunks;
    const int left = chunk * kElements < stored ? count - begin : 0;
    const Element* from = first + (begin + row) * stride + chunk * kElements;
#pragma unroll
    for (int at = row; at < row + rows; at += kPassRows, from += kPassRows * stride) {
      copy_async<kTileChunk>(tile + tile_place<chunks>(at, chunk), at < left ? from : first, at < left);
    }
  }
};

// The rows of a block: tiles of a head, heads of a sequence, sequences.
struct OwnRows {
  int sequence, head, first;

  __device__ __forceinline__ OwnRows(const AttentionTiles& args, int rows) {
    const int tiles = ceil_div(rows, kAttentionRows), block = static_cast<int>(blockIdx.x), rest = block / tiles;
    first = (block - rest * tiles) * kAttentionRows;
    sequence = rest / args.heads;
    head = rest - sequence * args.heads;
  }
};

inline unsigned attention_blocks(const AttentionTiles& args, int rows) {
  return static_cast<unsigned>(args.sequences * args.heads * ceil_div(rows, kAttentionRows));
}

// One source file for each precision. Where results are null, theirs is not computed.
template <ConvMath math>
void launch_attend(DeviceContext& context, const AttentionTiles& args);
template <ConvMath math>
void launch_attention_gradients(DeviceContext& context, const AttentionTiles& args);

#define TESSERA_ATTENTION(math)                                                  \
  template <>                                                                    \
  void launch_attend<math>(DeviceContext & context, const AttentionTiles& args); \
  template <>                                                                    \
  void launch_attention_gradients<math>(DeviceContext & context, const AttentionTiles& args)
TESSERA_ATTENTION(ConvMath::fp32);
TESSERA_ATTENTION(ConvMath::tf32);
TESSERA_ATTENTION(ConvMath::bf16);
#undef TESSERA_ATTENTION
template <>
void launch_attend<ConvMath::fp16>(DeviceContext& context, const AttentionTiles& args);

}  // namespace TESSERA_PORT
}  // namespace tessera
