#include "data/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/core/error.h"

namespace tessera {
namespace {

// Fixed point as in Pillow's Resample.c: 8 bits of sample, 2 of headroom, the rest for the weights.
constexpr int precision_bits = 32 - 8 - 2;
constexpr int32_t rounding = 1 << (precision_bits - 1);

// For each target index: the first source index, the number of taps, and their weights (taps_per_index apart).
struct Filter {
  int taps_per_index = 0;
  std::vector<int> first, count;
  std::vector<int32_t> weights;
};

Filter triangle_filter(int in, int out) {
  const double scale = double(in) / out;
  const double support = std::max(scale, 1.0);  // half width of the triangle, in source pixels
  Filter filter;
  filter.taps_per_index = int(std::ceil(support)) * 2 + 1;
  filter.first.resize(out);
  filter.count.resize(out);
  filter.weights.assign(size_t(out) * filter.taps_per_index, 0);
  std::vector<double> taps(filter.taps_per_index);
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(int(center - support + 0.5), 0);
    const int count = std::min(int(center + support + 0.5), in) - first;
    double sum = 0;
    for (int t = 0; t < count; ++t) {
      taps[t] = std::max(0.0, 1.0 - std::abs((t + first - center + 0.5) / support));
      sum += taps[t];
    }
    for (int t = 0; t < count; ++t)
      filter.weights[size_t(i) * filter.taps_per_index + t] =
          int32_t(0.5 + (sum != 0 ? taps[t] / sum : 0) * (1 << precision_bits));
    filter.first[i] = first;
    filter.count[i] = count;
  }
  return filter;
}

uint8_t to_sample(int32_t sum) { return uint8_t(std::clamp(sum >> precision_bits, 0, 255)); }

// One row, in pixels x 3 -> out pixels x 3. Four lanes are one vector: the fourth reads the byte after the pixel, which
// belongs to the picture everywhere but at its very last pixel.
template <bool is_last_row>
void filter_row(const uint8_t* source, int in, const Filter& filter, uint8_t* target, int out) {
  using Lanes = int32_t __attribute__((vector_size(16)));
  using Bytes = uint8_t __attribute__((vector_size(4)));
  for (int x = 0; x < out; ++x) {
    const int32_t* weights = &filter.weights[size_t(x) * filter.taps_per_index];
    const int first = filter.first[x], count = filter.count[x];
    Lanes sum = {rounding, rounding, rounding, 0};
    for (int t = 0; t < count; ++t) {
      const uint8_t* pixel = source + size_t(first + t) * 3;
      Bytes bytes{};
      if (is_last_row && first + t + 1 == in)
        std::memcpy(&bytes, pixel, 3);
      else
        std::memcpy(&bytes, pixel, 4);
      sum += __builtin_convertvector(bytes, Lanes) * weights[t];
    }
    for (int c = 0; c < 3; ++c) target[size_t(x) * 3 + c] = to_sample(sum[c]);
  }
}

// One target row as a weighted sum of source rows, in strips that stay in registers.
void filter_column(const uint8_t* source, size_t row_bytes, const int32_t* weights, int count, uint8_t* target) {
  constexpr size_t strip = 64;
  for (size_t start = 0; start < row_bytes; start += strip) {
    const size_t length = std::min(strip, row_bytes - start);
    int32_t sums[strip];
    std::fill_n(sums, strip, rounding);
    for (int t = 0; t < count; ++t) {
      const uint8_t* row = source + t * row_bytes + start;
      const int32_t weight = weights[t];
      for (size_t i = 0; i < length; ++i) sums[i] += row[i] * weight;
    }
    for (size_t i = 0; i < length; ++i) target[start + i] = to_sample(sums[i]);
  }
}

}  // namespace

Image resize_bilinear(const Image& image, int height, int width, int threads) {
  TESSERA_CHECK(height >= 1 && width >= 1, "resize to {}x{}", height, width);
  TESSERA_CHECK(!image.empty(), "resize of an empty picture");
  const Image* source = &image;
  Image narrowed, result;
  if (width != image.width) {  // Pillow: columns first, each pass only where the side changes
    const Filter filter = triangle_filter(image.width, width);
    narrowed = Image(image.height, width);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int y = 0; y < image.height - 1; ++y)
      filter_row<false>(image.at(y, 0), image.width, filter, narrowed.at(y, 0), width);
    const int last = image.height - 1;
    filter_row<true>(image.at(last, 0), image.width, filter, narrowed.at(last, 0), width);
    source = &narrowed;
  }
  if (height == image.height) return width == image.width ? image : std::move(narrowed);
  const Filter filter = triangle_filter(image.height, height);
  result = Image(height, width);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int y = 0; y < height; ++y)
    filter_column(source->at(filter.first[y], 0), size_t(width) * 3, &filter.weights[size_t(y) * filter.taps_per_index],
                  filter.count[y], result.at(y, 0));
  return result;
}

std::pair<int, int> resized_size(int height, int width, int short_side, int max_side) {
  double scale = double(short_side) / std::min(height, width);
  double new_height = height < width ? short_side : scale * height;
  double new_width = height < width ? scale * width : short_side;
  if (max_side > 0 && std::max(new_height, new_width) > max_side) {
    scale = max_side / std::max(new_height, new_width);
    new_height *= scale;
    new_width *= scale;
  }
  return {std::max(1, int(new_height + 0.5)), std::max(1, int(new_width + 0.5))};
}

}  // namespace tessera
