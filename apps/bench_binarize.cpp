#include "apps/bench_binarize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <vector>

#include "apps/timing.h"
#include "engine/core/rng.h"
#include "engine/ops/grid_binarize.h"

namespace tessera {

namespace {

constexpr int kHeight = 100, kWidth = 136, kChannels = 16, kGrid = 3, kBoxes = 100, kStride = 8;
constexpr int kPictureHeight = kHeight * kStride, kPictureWidth = kWidth * kStride;

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Waves of low frequency per channel, as embeddings vary over a picture, and a little noise.
std::vector<float> smooth_map() {
  std::vector<float> map(static_cast<size_t>(kHeight) * kWidth * kChannels);
  Rng rng(1, RandomPurpose::test, 100);
  for (int c = 0; c < kChannels; ++c) {
    for (int wave = 0; wave < 6; ++wave) {
      const float across = 0.06f * rng.normal(), down = 0.06f * rng.normal();
      const float phase = 3.0f * rng.normal(), height = rng.normal();
      for (int y = 0; y < kHeight; ++y) {
        for (int x = 0; x < kWidth; ++x) {
          map[(static_cast<size_t>(y) * kWidth + x) * kChannels + c] +=
              height * std::cos(across * static_cast<float>(x) + down * static_cast<float>(y) + phase);
        }
      }
    }
  }
  for (float& value : map) value += 0.05f * rng.normal();
  return map;
}

// Boxes of exactly a tenth of the picture, of different shapes, anywhere.
std::vector<float> boxes_of_a_tenth() {
  std::vector<float> boxes;
  Rng rng(1, RandomPurpose::test, 101);
  constexpr float kArea = 0.1f * kPictureHeight * kPictureWidth;
  while (boxes.size() < 4 * kBoxes) {
    const float height = std::sqrt(kArea / std::exp(0.5f * rng.normal())), width = kArea / height;
    if (height > kPictureHeight || width > kPictureWidth) continue;
    const float x = rng.uniform(0, kPictureWidth - width), y = rng.uniform(0, kPictureHeight - height);
    boxes.insert(boxes.end(), {x, y, x + width, y + height});
  }
  return boxes;
}

// X . (F/|F| - B/|B|) by way of the interpolated vector and two cosines, at one pixel.
template <typename Real>
Real naive_margin(const std::vector<float>& map, const float* foreground, int x, int y) {
  const auto place = [](int pixel, int extent) {
    return std::clamp((static_cast<Real>(pixel) + Real(0.5)) / kStride - Real(0.5), Real(0), Real(extent - 1));
  };
  const Real u = place(x, kWidth), v = place(y, kHeight);
  const int left = static_cast<int>(u), top = static_cast<int>(v);
  const int right = std::min(left + 1, kWidth - 1), bottom = std::min(top + 1, kHeight - 1);
  const Real across = u - static_cast<Real>(left), down = v - static_cast<Real>(top);
  const auto row = [&](int at_y, int at_x) {
    return map.data() + (static_cast<size_t>(at_y) * kWidth + at_x) * kChannels;
  };
  const float *a = row(top, left), *b = row(top, right), *c = row(bottom, left), *d = row(bottom, right);
  const float* background = foreground + kChannels;
  Real squares[3] = {0, 0, 0}, dots[2] = {0, 0};
  for (int i = 0; i < kChannels; ++i) {
    const Real e = (1 - down) * ((1 - across) * a[i] + across * b[i]) + down * ((1 - across) * c[i] + across * d[i]);
    squares[0] += e * e;
    squares[1] += static_cast<Real>(foreground[i]) * foreground[i];
    squares[2] += static_cast<Real>(background[i]) * background[i];
    dots[0] += e * foreground[i];
    dots[1] += e * background[i];
  }
  const Real length = std::sqrt(squares[0]);
  const Real difference = dots[0] / (length * std::sqrt(squares[1])) - dots[1] / (length * std::sqrt(squares[2]));
  return difference * length;
}

int cell_of(double at, double low, double high) {
  return std::min(kGrid - 1, static_cast<int>(kGrid * (at - low) / (high - low)));
}

// Calls visit(box, column, row, margin) for every pixel of every rectangle.
template <typename Real, typename Visit>
void naive_masks(const std::vector<float>& map, const std::vector<float>& objects, const std::vector<float>& boxes,
                 const std::vector<int32_t>& rectangles, Visit&& visit) {
  for (int box = 0; box < kBoxes; ++box) {
    const float* corner = boxes.data() + 4 * box;
    const int32_t* rectangle = rectangles.data() + 4 * box;
    for (int row = 0; row < rectangle[3]; ++row) {
      const int y = rectangle[1] + row, iy = cell_of(y + 0.5, corner[1], corner[3]);
      for (int column = 0; column < rectangle[2]; ++column) {
        const int x = rectangle[0] + column, ix = cell_of(x + 0.5, corner[0], corner[2]);
        const float* vectors = objects.data() + static_cast<size_t>((box * kGrid + iy) * kGrid + ix) * 2 * kChannels;
        visit(box, column, row, naive_margin<Real>(map, vectors, x, y));
      }
    }
  }
}

}  // namespace

BinarizeBench bench_binarize(Context& context, int rounds) {
  const std::vector<float> map = smooth_map(), boxes = boxes_of_a_tenth();
  std::vector<float> objects(static_cast<size_t>(kBoxes) * kGrid * kGrid * 2 * kChannels);
  Rng rng(1, RandomPurpose::test, 102);
  for (float& value : objects) value = rng.normal();
  const Tensor pixels = Tensor::from_host<float>(context, {kHeight, kWidth, kChannels}, map);
  const Tensor vectors = Tensor::from_host<float>(context, {kBoxes, kGrid * kGrid * 2 * kChannels}, objects);
  const Tensor corners = Tensor::from_host<float>(context, {kBoxes, 4}, boxes);
  GridBinarizeOptions options{kGrid, kStride, kPictureHeight, kPictureWidth, kPictureHeight, kPictureWidth, 0};
  if (context.backend() != Backend::cpu) options.capacity = largest_need(kBoxes, options);

  GridMasks masks;
  const Timing timing = time_on_device(context, {.least_rounds = rounds},
                                       [&] { masks = grid_binarize(context, pixels, vectors, corners, {}, options); });
  BinarizeBench result;
  result.boxes = kBoxes;
  result.milliseconds = 1e3 * timing.median;
  result.fastest = 1e3 * timing.fastest;
  result.slowest = 1e3 * timing.slowest;

  const std::vector<int32_t> rectangles = masks.rectangles.to_host<int32_t>(context);
  const std::vector<int64_t> offsets = masks.offsets.to_host<int64_t>(context);
  const std::vector<uint8_t> bits = masks.bits.to_host<uint8_t>(context);
  int64_t ones = 0, total = 0;
  const Clock::time_point start = Clock::now();
  naive_masks<float>(map, objects, boxes, rectangles, [&](int, int, int, float margin) { ones += margin > 0; });
  result.naive_milliseconds = milliseconds_since(start);
  naive_masks<double>(map, objects, boxes, rectangles, [&](int box, int column, int row, double margin) {
    ++total;
    const int64_t row_bytes = (rectangles[static_cast<size_t>(4 * box + 2)] + 7) / 8;
    const uint8_t byte = bits[static_cast<size_t>(offsets[static_cast<size_t>(box)] + row * row_bytes + column / 8)];
    if ((byte >> (column % 8) & 1) == (margin > 0)) return;
    ++result.differing;
    result.largest_margin = std::max(result.largest_margin, std::abs(margin));
  });
  result.megapixels = static_cast<double>(total) / 1e6;
  result.foreground = static_cast<double>(ones) / static_cast<double>(total);
  return result;
}

void print_binarize_bench(const BinarizeBench& result) {
  fmt::print("grid binarization, {} boxes, {:.2f} megapixels, {:.0f} % foreground\n", result.boxes, result.megapixels,
             100 * result.foreground);
  fmt::print("  exact short cut  {:8.3f} ms  (fastest {:.3f}, slowest {:.3f})\n", result.milliseconds, result.fastest,
             result.slowest);
  fmt::print("  pixel by pixel   {:8.1f} ms  ({:.0f} times as long)\n", result.naive_milliseconds,
             result.naive_milliseconds / result.milliseconds);
  fmt::print("  bits that differ from double precision: {}{}\n", result.differing,
             result.differing > 0 ? fmt::format(", at most {:.1e} from a tie", result.largest_margin) : "");
}

}  // namespace tessera
