// Both directions of the bilinear resize are separable: rows are blended first (or gathered, in backward) into one row
// of scratch per thread, then pixels along it.
#include "kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/bilinear_taps.h"
#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

using Tap = BilinearTap;

// The transposed table: which output positions read input position i, and with what weight.
struct Readers {
  struct Entry {
    int64_t output;
    float weight;
  };
  std::vector<Entry> entries;
  std::vector<size_t> begin;  // [in + 1]

  // Of input i; its last one is first(i + 1).
  const Entry* first(size_t i) const { return entries.data() + begin[i]; }

  Readers(const std::vector<Tap>& taps, int64_t in) : begin(static_cast<size_t>(in) + 1, 0) {
    const auto visit = [&](auto&& use) {
      for (size_t i = 0; i < taps.size(); ++i) {
        const Tap& tap = taps[i];
        if (tap.weight < 1.0f) use(tap.low, i, 1.0f - tap.weight);
        if (tap.weight > 0.0f) use(tap.high, i, tap.weight);
      }
    };
    visit([&](int64_t input, size_t, float) { ++begin[static_cast<size_t>(input) + 1]; });
    for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
    entries.resize(begin.back());
    std::vector<size_t> next(begin.begin(), begin.end() - 1);
    visit([&](int64_t input, size_t output, float weight) {
      entries[next[static_cast<size_t>(input)]++] = {static_cast<int64_t>(output), weight};
    });
  }
};

// to = sum of entry.weight * (from + entry.output * stride) over [first, last), in order; two entries per pass.
void gather(float* to, const float* from, int64_t stride, const Readers::Entry* first, const Readers::Entry* last,
            int64_t count) {
  if (first == last) std::fill(to, to + count, 0.0f);
  for (const Readers::Entry* entry = first; entry < last; entry += 2) {
    const float* a = from + entry[0].output * stride;
    const float weight = entry[0].weight;
    const bool pair = entry + 1 < last;
    const float* b = pair ? from + entry[1].output * stride : a;
    const float second = pair ? entry[1].weight : 0.0f;
    if (entry == first) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = weight * a[i] + second * b[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] += weight * a[i] + second * b[i];
    }
  }
}

void blend(float* to, const float* low, const float* high, float weight, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = low[i] + weight * (high[i] - low[i]);
}

int64_t grain(int64_t row_elements) { return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, row_elements)); }

int64_t ceiling(int64_t numerator, int64_t denominator) { return (numerator + denominator - 1) / denominator; }

}  // namespace

void resize_bilinear_forward(CpuContext& context, const ResizeForwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const std::vector<Tap> vertical = bilinear_taps(at.in_height, at.out_height);
  const std::vector<Tap> horizontal = bilinear_taps(at.in_width, at.out_width);
  const int64_t in_row = at.in_width * at.channels, out_row = at.out_width * at.channels;
  parallel_for(context, at.images * at.out_height, grain(in_row + out_row), [&](int64_t begin, int64_t end) {
    Scratch<float> blended(context, static_cast<size_t>(in_row));
    for (int64_t row = begin; row < end; ++row) {
      const Tap& tap = vertical[static_cast<size_t>(row % at.out_height)];
      const float* image = args.x + row / at.out_height * at.in_height * in_row;
      const float* source = image + tap.low * in_row;
      if (tap.weight > 0.0f) {
        blend(blended.data(), source, image + tap.high * in_row, tap.weight, in_row);
        source = blended.data();
      }
      float* y = args.y + row * out_row;
      for (int64_t x = 0; x < at.out_width; ++x) {
        const Tap& across = horizontal[static_cast<size_t>(x)];
        blend(y + x * at.channels, source + across.low * at.channels, source + across.high * at.channels, across.weight,
              at.channels);
      }
    }
  });
}

void resize_bilinear_backward(CpuContext& context, const ResizeBackwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const Readers vertical(bilinear_taps(at.in_height, at.out_height), at.in_height);
  const Readers horizontal(bilinear_taps(at.in_width, at.out_width), at.in_width);
  const int64_t in_row = at.in_width * at.channels, out_row = at.out_width * at.channels;
  parallel_for(context, at.images * at.in_height, grain(in_row + out_row), [&](int64_t begin, int64_t end) {
    Scratch<float> gathered(context, static_cast<size_t>(out_row));
    for (int64_t row = begin; row < end; ++row) {
      const size_t y = static_cast<size_t>(row % at.in_height);
      const float* image = args.dy + row / at.in_height * at.out_height * out_row;
      float* dx = args.dx + row * in_row;
      gather(gathered.data(), image, out_row, vertical.first(y), vertical.first(y + 1), out_row);
      for (int64_t x = 0; x < at.in_width; ++x) {
        const size_t column = static_cast<size_t>(x);
        gather(dx + x * at.channels, gathered.data(), at.channels, horizontal.first(column),
               horizontal.first(column + 1), at.channels);
      }
    }
  });
}

void resize_nearest_forward(CpuContext& context, const ResizeForwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const int64_t in_row = at.in_width * at.channels, out_row = at.out_width * at.channels;
  parallel_for(context, at.images * at.out_height, grain(out_row), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t source_row = row % at.out_height * at.in_height / at.out_height;
      const float* source = args.x + (row / at.out_height * at.in_height + source_row) * in_row;
      for (int64_t x = 0; x < at.out_width; ++x) {
        const float* from = source + x * at.in_width / at.out_width * at.channels;
        float* y = args.y + row * out_row + x * at.channels;
        if (args.addend == nullptr) {
          std::copy(from, from + at.channels, y);
        } else {
          const float* addend = args.addend + row * out_row + x * at.channels;
#pragma omp simd
          for (int64_t c = 0; c < at.channels; ++c) y[c] = from[c] + addend[c];
        }
      }
    }
  });
}

void resize_nearest_backward(CpuContext& context, const ResizeBackwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const int64_t in_row = at.in_width * at.channels, out_row = at.out_width * at.channels;
  parallel_for(context, at.images * at.in_height, grain(in_row + out_row), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t y = row % at.in_height;
      // floor(dst * in / out) == y  <=>  ceil(y * out / in) <= dst < ceil((y + 1) * out / in)
      const int64_t top = ceiling(y * at.out_height, at.in_height);
      const int64_t bottom = ceiling((y + 1) * at.out_height, at.in_height);
      const float* image = args.dy + row / at.in_height * at.out_height * out_row;
      for (int64_t x = 0; x < at.in_width; ++x) {
        const int64_t left = ceiling(x * at.out_width, at.in_width);
        const int64_t right = ceiling((x + 1) * at.out_width, at.in_width);
        float* pixel = args.dx + row * in_row + x * at.channels;
        if (top == bottom || left == right) std::fill(pixel, pixel + at.channels, 0.0f);
        for (int64_t v = top; v < bottom; ++v) {
          for (int64_t u = left; u < right; ++u) {
            const float* from = image + v * out_row + u * at.channels;
            if (v == top && u == left) {
              std::copy(from, from + at.channels, pixel);
              continue;
            }
#pragma omp simd
            for (int64_t c = 0; c < at.channels; ++c) pixel[c] += from[c];
          }
        }
      }
    }
  });
}

}  // namespace tessera
