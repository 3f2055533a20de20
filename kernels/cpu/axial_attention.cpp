// A line with all its heads is one task; its scores and one transposed copy of keys or values live in the cache. Lines
// write to rows of their own, so threads never meet.
#include "kernels/axial_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/small_product.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

// Cells first, first + stride, ...
struct Line {
  int64_t first, count, stride;
};

std::vector<Line> lines_of(std::span<const AttentionMap> maps, bool along_columns) {
  std::vector<Line> lines;
  for (const AttentionMap& map : maps) {
    for (int64_t image = 0; image < map.images; ++image) {
      const int64_t first = map.row_begin + image * map.height * map.width;
      if (along_columns) {
        for (int64_t x = 0; x < map.width; ++x) lines.push_back({first + x, map.height, map.width});
      } else {
        for (int64_t y = 0; y < map.height; ++y) lines.push_back({first + y * map.width, map.width, 1});
      }
    }
  }
  return lines;
}

// Rows over the cells of a line are whole registers long; what stands beyond the last cell is never read for a result.
int64_t padded_row(int64_t cells) { return (cells + kLanes - 1) / kLanes * kLanes; }

// What a thread works in; grows to the longest line.
struct Workspace {
  std::vector<float> transposed, scores, gradient;

  void reserve(int64_t cells, int64_t width) {
    const int64_t padded = padded_row(cells);
    const auto square = static_cast<size_t>(cells * padded), copy = static_cast<size_t>(padded * width);
    if (scores.size() < square) scores.resize(square), gradient.resize(square);
    if (transposed.size() < copy) transposed.resize(copy);
  }
};

// from: [count] rows of `width` floats, `row` apart -> [width][padded].
void transpose(const float* from, int64_t row, int64_t count, int64_t width, float* to, int64_t padded) {
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t e = 0; e < width; ++e) to[e * padded + i] = from[i * row + e];
  }
}

void softmax_rows(float* scores, int64_t count, int64_t padded, float scale) {
  for (int64_t i = 0; i < count; ++i) {
    float* row = scores + i * padded;
    float largest = row[0], sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < count; ++j) largest = std::max(largest, row[j]);
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; ++j) {
      const float value = vector_exp(scale * (row[j] - largest));
      row[j] = value;
      sum += value;
    }
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) row[j] *= inverse;
  }
}

// Operands of one head on one line.
struct Head {
  int64_t count, width;         // cells, channels
  int64_t row, pair_row;        // floats from cell to cell in [R, C] and in [R, 2 C]
  int64_t offset, pair_offset;  // of the first cell
  float scale;
};

Head head_of(const Line& line, int64_t channels, int64_t heads, int64_t head) {
  const int64_t width = channels / heads;
  return {line.count,
          width,
          line.stride * channels,
          line.stride * 2 * channels,
          line.first * channels + head * width,
          line.first * 2 * channels + head * width,
          1.0f / std::sqrt(static_cast<float>(width))};
}

void probabilities(const Head& head, const float* query, const float* key, Workspace& work) {
  const int64_t padded = padded_row(head.count);
  transpose(key, head.pair_row, head.count, head.width, work.transposed.data(), padded);
  multiply_small({{query, head.row, 1}, work.transposed.data(), padded, work.scores.data(), padded, head.width},
                 head.count, padded);
  softmax_rows(work.scores.data(), head.count, padded, head.scale);
}

template <typename Args, typename Body>
void for_each_head(const CpuContext& context, const Args& args, Body&& body) {
  const std::vector<Line> lines = lines_of(args.maps, args.along_columns);
  const auto count = static_cast<int64_t>(lines.size());
#pragma omp parallel num_threads(context.threads()) if (count > 1)
  {
    Workspace work;
#pragma omp for schedule(dynamic, 4)
    for (int64_t i = 0; i < count; ++i) {
      const Line& line = lines[static_cast<size_t>(i)];
      work.reserve(line.count, args.channels / args.heads);
      for (int64_t h = 0; h < args.heads; ++h) body(head_of(line, args.channels, args.heads, h), work);
    }
  }
}

}  // namespace

void axial_attention_forward(CpuContext& context, const AxialAttentionForwardArgs& args) {
  for_each_head(context, args, [&](const Head& head, Workspace& work) {
    const float* key = args.key_value + head.pair_offset;
    probabilities(head, args.query + head.offset, key, work);
    multiply_small({{work.scores.data(), padded_row(head.count), 1},
                    key + args.channels,
                    head.pair_row,
                    args.y + head.offset,
                    head.row,
                    head.count},
                   head.count, head.width);
  });
}

void axial_attention_backward(CpuContext& context, const AxialAttentionBackwardArgs& args) {
  for_each_head(context, args, [&](const Head& head, Workspace& work) {
    const int64_t count = head.count, width = head.width, padded = padded_row(count);
    const float *query = args.query + head.offset, *key = args.key_value + head.pair_offset;
    const float *value = key + args.channels, *dy = args.dy + head.offset;
    float *dkey = args.dkey_value + head.pair_offset, *dvalue = dkey + args.channels;
    probabilities(head, query, key, work);
    float *p = work.scores.data(), *g = work.gradient.data();
    multiply_small({{p, 1, padded}, dy, head.row, dvalue, head.pair_row, count}, count, width);
    transpose(value, head.pair_row, count, width, work.transposed.data(), padded);
    multiply_small({{dy, head.row, 1}, work.transposed.data(), padded, g, padded, width}, count, padded);
    for (int64_t i = 0; i < count; ++i) {
      const float* probability = p + i * padded;
      float* row = g + i * padded;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < count; ++j) sum += probability[j] * row[j];
#pragma omp simd
      for (int64_t j = 0; j < count; ++j) row[j] = probability[j] * (row[j] - sum) * head.scale;
    }
    multiply_small({{g, padded, 1}, key, head.pair_row, args.dquery + head.offset, head.row, count}, count, width);
    multiply_small({{g, 1, padded}, query, head.row, dkey, head.pair_row, count}, count, width);
  });
}

}  // namespace tessera
