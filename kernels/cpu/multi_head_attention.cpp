// Blocks of 64 queries and 64 keys of a head, whose scores stay in the first-level cache; the softmax is kept on the
// way along the keys. A task owns the rows it writes: a block of queries forward and for dq, a block of keys for dk and
// dv, so threads never meet and the bits do not depend on their number. Scores and dP are computed in both halves of
// the backward pass: 7 products instead of 5, and no partial dq to add up.
#include "kernels/multi_head_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/small_product.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kBlock = 64;  // queries, and keys: whole registers

int64_t blocks_of(int64_t count) { return (count + kBlock - 1) / kBlock; }

// A head of a sequence.
struct Head {
  int64_t row;      // floats from row to row: C
  int64_t queries;  // first float of the first query, in [N, L, C]
  int64_t keys;     // of the first key, in [N, T, C]
  int64_t index;    // of N * heads
  float scale;

  Head(const MultiHeadAttentionShape& shape, int64_t at)
      : row(shape.channels),
        queries((at / shape.heads * shape.queries * shape.heads + at % shape.heads) * shape.width()),
        keys((at / shape.heads * shape.keys * shape.heads + at % shape.heads) * shape.width()),
        index(at),
        scale(1.0f / std::sqrt(static_cast<float>(shape.width()))) {}
};

// Keys or values with their channels as rows, [N * heads][e][T rounded up to whole blocks]: the right side of a product
// over channels. Zeros behind the last key.
class TransposedRows {
 public:
  TransposedRows(CpuContext& context, const MultiHeadAttentionShape& shape, const float* rows)
      : width_(shape.width()),
        row_(blocks_of(shape.keys) * kBlock),
        memory_(context, static_cast<size_t>(shape.sequences * shape.heads * width_ * row_)) {
    const int64_t blocks = blocks_of(shape.keys);
    parallel_for(context, shape.sequences * shape.heads * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Head head(shape, i / blocks);
        const int64_t first = i % blocks * kBlock, count = std::min(kBlock, shape.keys - first);
        const float* from = rows + head.keys + first * head.row;
        float* to = memory_.data() + head.index * width_ * row_ + first;
        for (int64_t e = 0; e < width_; ++e) {
          for (int64_t j = 0; j < count; ++j) to[e * row_ + j] = from[j * head.row + e];
          std::fill(to + e * row_ + count, to + e * row_ + kBlock, 0.0f);
        }
      }
    });
  }

  const float* at(const Head& head, int64_t key) const { return memory_.data() + head.index * width_ * row_ + key; }
  int64_t row() const { return row_; }

 private:
  int64_t width_, row_;
  Scratch<float> memory_;
};

// scores[kBlock][kBlock]: products of `rows` rows with the columns of one block.
void multiply_block(const float* rows, int64_t row, int64_t count, const TransposedRows& columns, const Head& head,
                    int64_t key, int64_t width, float* scores) {
  multiply_small({{rows, row, 1}, columns.at(head, key), columns.row(), scores, kBlock, width}, count, kBlock);
}

// What a thread works in: a block of scores and one of their gradients, and sums of a block of rows.
struct Workspace {
  std::vector<float> scores, gradient, first, second;

  explicit Workspace(int64_t width)
      : scores(kBlock * kBlock),
        gradient(kBlock * kBlock),
        first(static_cast<size_t>(kBlock * width)),
        second(static_cast<size_t>(kBlock * width)) {}
};

// Calls body(head, first row, rows, workspace) for all blocks of `length` rows of all heads.
template <typename Body>
void for_each_block(const CpuContext& context, const MultiHeadAttentionShape& shape, int64_t length, Body&& body) {
  const int64_t blocks = blocks_of(length), tasks = shape.sequences * shape.heads * blocks;
#pragma omp parallel num_threads(context.threads()) if (tasks > 1)
  {
    Workspace work(shape.width());
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t first = task % blocks * kBlock;
      body(Head(shape, task / blocks), first, std::min(kBlock, length - first), work);
    }
  }
}

void store_rows(const std::vector<float>& from, int64_t width, int64_t count, float* to, int64_t row) {
  for (int64_t i = 0; i < count; ++i) std::copy_n(from.data() + i * width, width, to + i * row);
}

// Of a query, over the keys seen so far.
struct Softmax {
  float largest = -std::numeric_limits<float>::infinity(), total = 0;

  // Scores of the next keys become exp(scale * (score - largest)); returns what earlier ones are to be multiplied by.
  float step(float* scores, int64_t count, float scale) {
    float next = largest;
#pragma omp simd reduction(max : next)
    for (int64_t j = 0; j < count; ++j) next = std::max(next, scores[j]);
    const float shrink = vector_exp(scale * (largest - next));
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; ++j) {
      const float value = vector_exp(scale * (scores[j] - next));
      scores[j] = value;
      sum += value;
    }
    largest = next;
    total = total * shrink + sum;
    return shrink;
  }
};

// D = rowsum(dy * y), [N * heads][L].
void row_products(const CpuContext& context, const MultiHeadAttentionBackwardArgs& args, float* to) {
  const MultiHeadAttentionShape& shape = args.shape;
  const int64_t width = shape.width();
  parallel_for(context, shape.sequences * shape.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const Head head(shape, at);
      for (int64_t i = 0; i < shape.queries; ++i) {
        const float *y = args.y + head.queries + i * head.row, *dy = args.dy + head.queries + i * head.row;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t e = 0; e < width; ++e) sum += dy[e] * y[e];
        to[at * shape.queries + i] = sum;
      }
    }
  });
}

// P and dS / scale of a block of queries and a block of keys.
class BlockGradient {
 public:
  BlockGradient(CpuContext& context, const MultiHeadAttentionBackwardArgs& args)
      : args_(args),
        keys_(context, args.shape, args.key),
        values_(context, args.shape, args.value),
        products_(context, static_cast<size_t>(args.shape.sequences * args.shape.heads * args.shape.queries)) {
    row_products(context, args, products_.data());
  }

  void operator()(const Head& head, int64_t query, int64_t queries, int64_t key, int64_t keys, Workspace& work) const {
    const int64_t width = args_.shape.width(), at = head.queries + query * head.row;
    multiply_block(args_.query + at, head.row, queries, keys_, head, key, width, work.scores.data());
    multiply_block(args_.dy + at, head.row, queries, values_, head, key, width, work.gradient.data());
    const int64_t first = head.index * args_.shape.queries + query;
    for (int64_t i = 0; i < queries; ++i) {
      const float log_sum = args_.log_sum[first + i], product = products_[static_cast<size_t>(first + i)];
      float *p = work.scores.data() + i * kBlock, *ds = work.gradient.data() + i * kBlock;
#pragma omp simd
      for (int64_t j = 0; j < keys; ++j) {
        p[j] = vector_exp(head.scale * p[j] - log_sum);
        ds[j] = p[j] * (ds[j] - product);
      }
    }
  }

 private:
  const MultiHeadAttentionBackwardArgs& args_;
  TransposedRows keys_, values_;
  Scratch<float> products_;
};

}  // namespace

void multi_head_attention_forward(CpuContext& context, const MultiHeadAttentionForwardArgs& args) {
  const MultiHeadAttentionShape& shape = args.shape;
  const int64_t width = shape.width();
  const TransposedRows keys(context, shape, args.key);
  for_each_block(context, shape, shape.queries, [&](const Head& head, int64_t first, int64_t rows, Workspace& work) {
    Softmax softmax[kBlock];
    float *scores = work.scores.data(), *sums = work.first.data();
    std::fill(work.first.begin(), work.first.end(), 0.0f);
    for (int64_t key = 0; key < shape.keys; key += kBlock) {
      const int64_t count = std::min(kBlock, shape.keys - key);
      multiply_block(args.query + head.queries + first * head.row, head.row, rows, keys, head, key, width, scores);
      for (int64_t i = 0; i < rows; ++i) {
        const float shrink = softmax[i].step(scores + i * kBlock, count, head.scale);
#pragma omp simd
        for (int64_t e = 0; e < width; ++e) sums[i * width + e] *= shrink;
      }
      multiply_small({{scores, kBlock, 1}, args.value + head.keys + key * head.row, head.row, sums, width, count, true},
                     rows, width);
    }
    for (int64_t i = 0; i < rows; ++i) {
      const float inverse = 1.0f / softmax[i].total;
      float* y = args.y + head.queries + (first + i) * head.row;
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) y[e] = sums[i * width + e] * inverse;
      if (args.log_sum == nullptr) continue;
      args.log_sum[head.index * shape.queries + first + i] =
          head.scale * softmax[i].largest + std::log(softmax[i].total);
    }
  });
}

void multi_head_attention_backward(CpuContext& context, const MultiHeadAttentionBackwardArgs& args) {
  const MultiHeadAttentionShape& shape = args.shape;
  const int64_t width = shape.width();
  const BlockGradient block_gradient(context, args);
  if (args.dquery != nullptr) {
    for_each_block(context, shape, shape.queries, [&](const Head& head, int64_t first, int64_t rows, Workspace& work) {
      std::fill(work.first.begin(), work.first.end(), 0.0f);
      for (int64_t key = 0; key < shape.keys; key += kBlock) {
        const int64_t count = std::min(kBlock, shape.keys - key);
        block_gradient(head, first, rows, key, count, work);
        multiply_small({{work.gradient.data(), kBlock, 1},
                        args.key + head.keys + key * head.row,
                        head.row,
                        work.first.data(),
                        width,
                        count,
                        true},
                       rows, width);
      }
      for (float& value : work.first) value *= head.scale;
      store_rows(work.first, width, rows, args.dquery + head.queries + first * head.row, head.row);
    });
  }
  if (args.dkey == nullptr && args.dvalue == nullptr) return;
  for_each_block(context, shape, shape.keys, [&](const Head& head, int64_t first, int64_t rows, Workspace& work) {
    std::fill(work.first.begin(), work.first.end(), 0.0f);
    std::fill(work.second.begin(), work.second.end(), 0.0f);
    const auto add = [&](const std::vector<float>& block, const float* factors, int64_t count,
                         std::vector<float>& sums) {
      multiply_small({{block.data(), 1, kBlock}, factors, head.row, sums.data(), width, count, true}, rows, width);
    };
    for (int64_t query = 0; query < shape.queries; query += kBlock) {
      const int64_t count = std::min(kBlock, shape.queries - query), at = head.queries + query * head.row;
      block_gradient(head, query, count, first, rows, work);
      if (args.dkey != nullptr) add(work.gradient, args.query + at, count, work.first);
      if (args.dvalue != nullptr) add(work.scores, args.dy + at, count, work.second);
    }
    for (float& value : work.first) value *= head.scale;
    const int64_t to = head.keys + first * head.row;
    if (args.dkey != nullptr) store_rows(work.first, width, rows, args.dkey + to, head.row);
    if (args.dvalue != nullptr) store_rows(work.second, width, rows, args.dvalue + to, head.row);
  });
}

}  // namespace tessera
