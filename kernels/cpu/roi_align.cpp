#include "kernels/roi_align.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

// Where a sample reads: (1 - weight) * in[low] + weight * in[high], times 0 or 1.
struct Tap {
  int64_t low, high;
  float weight;
  bool inside;
};

// One axis of a region.
struct RoiAxis {
  float start, bin;
  int64_t samples, extent;
  int64_t first, last;  // cells that may be read

  RoiAxis(float from, float to, int64_t out, int64_t extent_, const RoiAlignShape& shape) : extent(extent_) {
    start = from * shape.scale - (shape.aligned ? 0.5f : 0.0f);
    float size = to * shape.scale - (shape.aligned ? 0.5f : 0.0f) - start;
    if (!shape.aligned && size < 1.0f) size = 1.0f;
    bin = size / static_cast<float>(out);
    samples = shape.sampling_ratio;
    if (samples == 0) samples = bin > 0 ? static_cast<int64_t>(std::min(std::ceil(bin), kMostRoiSamples)) : 0;
    const auto cell = [&](float place) {
      return static_cast<int64_t>(std::floor(std::clamp(place, -2.0f, static_cast<float>(extent) + 1.0f)));
    };
    if (!std::isfinite(start) || !std::isfinite(size)) samples = 0;
    const bool reads = samples > 0;
    first = reads ? std::max<int64_t>(0, cell(std::min(start, start + size)) - 1) : 0;
    last = reads ? std::min(extent - 1, cell(std::max(start, start + size)) + 2) : -1;
  }

  Tap tap(int64_t at, int64_t sample) const {
    const float place =
        start + static_cast<float>(at) * bin + (static_cast<float>(sample) + 0.5f) * bin / static_cast<float>(samples);
    if (!(place >= -1.0f && place <= static_cast<float>(extent))) return {0, 0, 0.0f, false};
    const float clamped = std::max(place, 0.0f);
    const auto low = static_cast<int64_t>(clamped);
    if (low >= extent - 1) return {extent - 1, extent - 1, 0.0f, true};
    return {low, low + 1, clamped - static_cast<float>(low), true};
  }

  // Sum of the weights with which the samples of a bin read a cell.
  float weight(int64_t at, int64_t cell) const {
    float sum = 0.0f;
    for (int64_t sample = 0; sample < samples; ++sample) {
      const Tap of = tap(at, sample);
      if (!of.inside) continue;
      sum += (cell == of.low ? 1.0f - of.weight : 0.0f) + (cell == of.high ? of.weight : 0.0f);
    }
    return sum;
  }

  // Bins that may read a cell: [begin, end).
  std::pair<int64_t, int64_t> bins(int64_t cell, int64_t out) const {
    if (!(bin > 0)) return {0, out};
    const auto clamped = [&](float at) {
      return static_cast<int64_t>(std::floor(std::clamp(at, -2.0f, static_cast<float>(out) + 1.0f)));
    };
    const float place = static_cast<float>(cell) - start;
    return {std::max<int64_t>(0, clamped((place - 1.0f) / bin) - 1), std::min(out, clamped((place + 1.0f) / bin) + 2)};
  }
};

struct Region {
  RoiAxis y, x;
  float inverse;  // of the number of samples of a bin

  Region(const float* box, const RoiAlignShape& shape)
      : y(box[1], box[3], shape.out_height, shape.height, shape),
        x(box[0], box[2], shape.out_width, shape.width, shape) {
    inverse = 1.0f / static_cast<float>(std::max<int64_t>(1, y.samples * x.samples));
  }
};

bool exists(int32_t image, const RoiAlignShape& shape) { return image >= 0 && image < shape.images; }

}  // namespace

void roi_align_forward(CpuContext& context, const RoiAlignForwardArgs& args) {
  const RoiAlignShape& shape = args.shape;
  const int64_t channels = shape.channels, bins = shape.out_height * shape.out_width;
  parallel_for(context, shape.regions * bins, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t k = row / bins, by = row % bins / shape.out_width, bx = row % shape.out_width;
      float* y = args.y + row * channels;
      if (!exists(args.image_of[k], shape)) {
        std::fill(y, y + channels, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const Region region(args.boxes + 4 * k, shape);
      const float* map = args.x + args.image_of[k] * shape.height * shape.width * channels;
      std::fill(y, y + channels, 0.0f);
      for (int64_t i = 0; i < region.y.samples; ++i) {
        const Tap v = region.y.tap(by, i);
        if (!v.inside) continue;
        for (int64_t j = 0; j < region.x.samples; ++j) {
          const Tap u = region.x.tap(bx, j);
          if (!u.inside) continue;
          const auto cell = [&](int64_t cell_y, int64_t cell_x) {
            return map + (cell_y * shape.width + cell_x) * channels;
          };
          const float *a = cell(v.low, u.low), *b = cell(v.low, u.high), *c = cell(v.high, u.low),
                      *d = cell(v.high, u.high);
          const float wa = (1 - v.weight) * (1 - u.weight), wb = (1 - v.weight) * u.weight;
          const float wc = v.weight * (1 - u.weight), wd = v.weight * u.weight;
#pragma omp simd
          for (int64_t at = 0; at < channels; ++at) y[at] += wa * a[at] + wb * b[at] + wc * c[at] + wd * d[at];
        }
      }
#pragma omp simd
      for (int64_t at = 0; at < channels; ++at) y[at] *= region.inverse;
    }
  });
}

// A thread owns rows of cells, so no two write to one place.
void roi_align_backward(CpuContext& context, const RoiAlignBackwardArgs& args) {
  const RoiAlignShape& shape = args.shape;
  const int64_t channels = shape.channels, line = shape.width * channels;
  parallel_for(context, shape.images * shape.height, 1, [&](int64_t begin, int64_t end) {
    std::fill(args.dx + begin * line, args.dx + end * line, 0.0f);
    for (int64_t k = 0; k < shape.regions; ++k) {
      if (!exists(args.image_of[k], shape)) continue;
      const Region region(args.boxes + 4 * k, shape);
      const int64_t top = args.image_of[k] * shape.height;
      const int64_t first = std::max(begin, top + region.y.first), last = std::min(end - 1, top + region.y.last);
      for (int64_t row = first; row <= last; ++row) {
        const auto [first_by, end_by] = region.y.bins(row - top, shape.out_height);
        for (int64_t by = first_by; by < end_by; ++by) {
          const float of_row = region.y.weight(by, row - top) * region.inverse;
          if (of_row == 0.0f) continue;
          for (int64_t cell = region.x.first; cell <= region.x.last; ++cell) {
            const auto [first_bx, end_bx] = region.x.bins(cell, shape.out_width);
            for (int64_t bx = first_bx; bx < end_bx; ++bx) {
              const float weight = of_row * region.x.weight(bx, cell);
              if (weight == 0.0f) continue;
              const float* dy = args.dy + ((k * shape.out_height + by) * shape.out_width + bx) * channels;
              float* dx = args.dx + row * line + cell * channels;
#pragma omp simd
              for (int64_t at = 0; at < channels; ++at) dx[at] += weight * dy[at];
            }
          }
        }
      }
    }
  });
}

}  // namespace tessera
