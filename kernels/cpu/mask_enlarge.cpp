#include "kernels/mask_enlarge.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/bilinear_taps.h"
#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

void blend_rows(float* to, const float* low, const float* high, float weight, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = low[i] + weight * (high[i] - low[i]);
}

float sample(const float* row, const BilinearTap& tap) {
  return row[tap.low] + tap.weight * (row[tap.high] - row[tap.low]);
}

struct Taps {
  std::vector<BilinearTap> map_rows, map_columns;  // of the enlarged input, as far as it is not padding
  std::vector<BilinearTap> rows, columns;          // of the original picture
};

// Rows of the enlarged and cut map, made when asked for; the last two are kept.
class EnlargedRows {
 public:
  EnlargedRows(Context& context, const MaskEnlargeArgs& args, const Taps& taps, const float* probabilities)
      : args_(args),
        taps_(taps),
        probabilities_(probabilities),
        line_(context, static_cast<size_t>(args.width)),
        rows_(context, static_cast<size_t>(2 * args.cut_width)) {}

  const float* row(int64_t y) {
    float* out = rows_.data() + y % 2 * args_.cut_width;
    if (held_[y % 2] == y) return out;
    held_[y % 2] = y;
    const BilinearTap& tap = taps_.map_rows[static_cast<size_t>(y)];
    blend_rows(line_.data(), probabilities_ + tap.low * args_.width, probabilities_ + tap.high * args_.width,
               tap.weight, args_.width);
    for (int64_t x = 0; x < args_.cut_width; ++x)
      out[x] = sample(line_.data(), taps_.map_columns[static_cast<size_t>(x)]);
    return out;
  }

 private:
  const MaskEnlargeArgs& args_;
  const Taps& taps_;
  const float* probabilities_;
  Scratch<float> line_, rows_;
  int64_t held_[2] = {-1, -1};
};

}  // namespace

void mask_enlarge(CpuContext& context, const MaskEnlargeArgs& args) {
  const Taps taps{bilinear_taps(args.height, args.height * args.stride, args.cut_height),
                  bilinear_taps(args.width, args.width * args.stride, args.cut_width),
                  bilinear_taps(args.cut_height, args.out_height), bilinear_taps(args.cut_width, args.out_width)};
  const int64_t pixels = args.height * args.width, row_bytes = (args.out_width + 7) / 8;
  parallel_for(context, args.count, 1, [&](int64_t begin, int64_t end) {
    Scratch<float> probabilities(context, static_cast<size_t>(pixels));
    Scratch<float> line(context, static_cast<size_t>(args.cut_width));
    for (int64_t mask = begin; mask < end; ++mask) {
      const float* z = args.logits + mask * pixels;
      for (int64_t i = 0; i < pixels; ++i) probabilities[static_cast<size_t>(i)] = 1.0f / (1.0f + std::exp(-z[i]));
      EnlargedRows enlarged(context, args, taps, probabilities.data());
      uint8_t* bits = args.bits + mask * args.out_height * row_bytes;
      std::fill(bits, bits + args.out_height * row_bytes, uint8_t{0});
      for (int64_t y = 0; y < args.out_height; ++y, bits += row_bytes) {
        const BilinearTap& tap = taps.rows[static_cast<size_t>(y)];
        const float* low = enlarged.row(tap.low);
        const float* high = enlarged.row(tap.high);
        blend_rows(line.data(), low, high, tap.weight, args.cut_width);
        for (int64_t x = 0; x < args.out_width; ++x) {
          const bool set = sample(line.data(), taps.columns[static_cast<size_t>(x)]) > args.threshold;
          bits[x / 8] = static_cast<uint8_t>(bits[x / 8] | static_cast<int>(set) << (x % 8));
        }
      }
    }
  });
}

}  // namespace tessera
