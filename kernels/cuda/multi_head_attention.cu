// Attention of any length on the device: operands as the tile kernels read them, the precision of a call, launches.
//   attention_forward_kernel.h, attention_gradient_kernels.h   the kernels, for heads of up to 128 channels
//   attention_product.h                                        their products, by precision
//   attention_wide.h                                           heads of more channels
// Here: copies of operands with rows of 16-byte chunks, where heads are none (pad_heads; 8 bytes a value), and
// D = rowsum(dy * y) (row_products; eight lanes a query and head, 8 bytes a value), both limited by memory.
#include "kernels/multi_head_attention.h"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/conv2d_choice.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/attention_wide.h"

namespace tessera {

namespace {

constexpr int kThreads = 256, kLanesOfRow = 8;

int to_int(int64_t value) {
  if (value > std::numeric_limits<int>::max()) throw std::length_error("multi_head_attention: 2^31 rows or blocks");
  return static_cast<int>(value);
}

// fp16 forward keeps f32 sums in either form. Behind it the gradients run in tf32, not in bf16 as those of convolutions
// do: scores are computed again, and must agree with the log-sum-exp of scores whose operands were rounded to half.
// tf32 rounds to as many bits, and has the range that half lacks.
ConvMath forward_math(ConvMath wanted, int64_t width) {
  return math_of_call(wanted == ConvMath::fp16_accumulate_chunked ? ConvMath::fp16 : wanted, width);
}
ConvMath backward_math(ConvMath wanted, int64_t width) {
  const ConvMath math = forward_math(wanted, width);
  return math == ConvMath::fp16 ? ConvMath::tf32 : math;
}

// A thread per stored value; zeros behind a head.
__global__ void __launch_bounds__(kThreads)
    pad_heads(const float* rows, int width, int stored, int64_t count, float* padded) {
  for_each_element(count, [&](int64_t i) {
    const int64_t head = i / stored, c = i - head * stored;
    padded[i] = c < width ? rows[head * width + c] : 0.0f;
  });
}

// An operand with heads of whole chunks: in place, or copied into the type of the precision, or into wider rows.
class HeadOperand {
 public:
  HeadOperand(DeviceContext& context, ConvMath math, const float* rows, int64_t heads_of_all_rows, int width,
              int stored)
      : converted_(context, math, std::array{ChannelRows{rows, heads_of_all_rows, width}}),
        padded_(context, static_cast<size_t>(in_16_bits(math) || stored == width ? 0 : heads_of_all_rows * stored)),
        data_(converted_[0]) {
    if (in_16_bits(math) || stored == width) return;
    const int64_t count = heads_of_all_rows * stored;
    launch(pad_heads, grid_for(count, kThreads), kThreads, 0, context, rows, width, stored, count, padded_.data());
    data_ = padded_.data();
  }
  const void* data() const { return data_; }

 private:
  StoredRows converted_;
  Scratch<float> padded_;
  const void* data_;
};

// Values of a head in rows whose heads are whole chunks. Operands of a call are alike, so one that is not aligned makes
// all of them be copied into longer heads.
template <typename... Pointers>
int stored_width(ConvMath math, int width, const Pointers*... operands) {
  if (in_16_bits(math)) return to_int(stored_channels(math, width));
  return aligned4(width, operands...) ? width : (width + 4) / 4 * 4;
}

AttentionTiles tiles_of(const MultiHeadAttentionShape& shape, int stored) {
  AttentionTiles tiles{};
  tiles.sequences = to_int(shape.sequences);
  tiles.queries = to_int(shape.queries);
  tiles.keys = to_int(shape.keys);
  tiles.heads = to_int(shape.heads);
  tiles.width = to_int(shape.width());
  tiles.stored = stored;
  tiles.scale = 1.0f / std::sqrt(static_cast<float>(tiles.width));
  const int64_t longest = shape.queries > shape.keys ? shape.queries : shape.keys;
  to_int(shape.sequences * shape.heads * ceil_div<int64_t>(longest, kAttentionRows));
  return tiles;
}

// As the products with dy round it, so that D is the mean of dP under P.
template <ConvMath math>
__device__ __forceinline__ float rounded(float value) {
  if constexpr (math == ConvMath::tf32) return __uint_as_float(to_tf32(value));
  return to_float(from_float<ConvElement<math>>(value));
}

template <ConvMath math>
__global__ void __launch_bounds__(kThreads) row_products(MultiHeadAttentionBackwardArgs args, float* products) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanesOfRow;  // of [N, L, heads]
  const int64_t heads = args.shape.heads, queries = args.shape.queries, width = args.shape.channels / heads;
  const bool valid = at < args.shape.sequences * queries * heads;
  float sum = 0.0f;
  if (valid) {
    for (int64_t c = threadIdx.x % kLanesOfRow; c < width; c += kLanesOfRow) {
      sum += rounded<math>(args.dy[at * width + c]) * args.y[at * width + c];
    }
  }
  sum = reduce_row<kLanesOfRow>(sum, SumOf{});
  if (!valid || threadIdx.x % kLanesOfRow != 0) return;
  const int64_t row = at / heads, sequence = row / queries;
  products[(sequence * heads + at - row * heads) * queries + row - sequence * queries] = sum;
}

void launch_row_products(DeviceContext& context, ConvMath math, const MultiHeadAttentionBackwardArgs& args,
                         float* products) {
  const int64_t lanes = args.shape.sequences * args.shape.queries * args.shape.heads * kLanesOfRow;
  const auto run = [&](auto kernel) {
    launch(kernel, static_cast<unsigned>(to_int(ceil_div<int64_t>(lanes, kThreads))), kThreads, 0, context, args,
           products);
  };
  if (math == ConvMath::tf32) return run(row_products<ConvMath::tf32>);
  if (math == ConvMath::bf16) return run(row_products<ConvMath::bf16>);
  run(row_products<ConvMath::fp32>);
}

}  // namespace

void multi_head_attention_forward(DeviceContext& context, const MultiHeadAttentionForwardArgs& args) {
  const MultiHeadAttentionShape& shape = args.shape;
  if (shape.width() > kWidestHead) return attend_wide(context, args);
  const int width = to_int(shape.width());
  const ConvMath math = forward_math(args.math, width);
  const int stored = stored_width(math, width, args.query, args.key, args.value);
  const int64_t own = shape.sequences * shape.queries * shape.heads, other = shape.sequences * shape.keys * shape.heads;
  const HeadOperand query(context, math, args.query, own, width, stored);
  const HeadOperand key(context, math, args.key, other, width, stored);
  const HeadOperand value(context, math, args.value, other, width, stored);
  AttentionTiles tiles = tiles_of(shape, stored);
  tiles.query = query.data();
  tiles.key = key.data();
  tiles.value = value.data();
  tiles.y = args.y;
  tiles.new_log_sum = args.log_sum;
  tiles.vectors = aligned4(width, args.y);
  if (math == ConvMath::tf32) return launch_attend<ConvMath::tf32>(context, tiles);
  if (math == ConvMath::bf16) return launch_attend<ConvMath::bf16>(context, tiles);
  if (math == ConvMath::fp16) return launch_attend<ConvMath::fp16>(context, tiles);
  launch_attend<ConvMath::fp32>(context, tiles);
}

void multi_head_attention_backward(DeviceContext& context, const MultiHeadAttentionBackwardArgs& args) {
  const MultiHeadAttentionShape& shape = args.shape;
  const bool wide = shape.width() > kWidestHead;
  const ConvMath math = wide ? ConvMath::fp32 : backward_math(args.math, shape.width());
  const int64_t own = shape.sequences * shape.queries * shape.heads, other = shape.sequences * shape.keys * shape.heads;
  Scratch<float> products(context, static_cast<size_t>(own));
  launch_row_products(context, math, args, products.data());
  if (wide) return attention_gradients_wide(context, args, products.data());
  const int width = to_int(shape.width());
  const int stored = stored_width(math, width, args.query, args.key, args.value, args.dy);
  const HeadOperand query(context, math, args.query, own, width, stored);
  const HeadOperand key(context, math, args.key, other, width, stored);
  const HeadOperand value(context, math, args.value, other, width, stored);
  const HeadOperand dy(context, math, args.dy, own, width, stored);
  AttentionTiles tiles = tiles_of(shape, stored);
  tiles.query = query.data();
  tiles.key = key.data();
  tiles.value = value.data();
  tiles.dy = dy.data();
  tiles.log_sum = args.log_sum;
  tiles.row_products = products.data();
  tiles.dquery = args.dquery;
  tiles.dkey = args.dkey;
  tiles.dvalue = args.dvalue;
  tiles.vectors = aligned4(width, args.dquery, args.dkey, args.dvalue);
  if (math == ConvMath::tf32) return launch_attention_gradients<ConvMath::tf32>(context, tiles);
  if (math == ConvMath::bf16) return launch_attention_gradients<ConvMath::bf16>(context, tiles);
  launch_attention_gradients<ConvMath::fp32>(context, tiles);
}

}  // namespace tessera
