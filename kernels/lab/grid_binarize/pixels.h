// What the versions of this folder share: a thread per byte of a mask, and where its pixels lie. They take the
// arguments of kernels/grid_binarize.h after grid_binarize_plan. Read them in order: 1_definition.h, 2_classifier.h,
// 3_scores.h, then kernels/cuda/grid_binarize.cu; docs/kernels/grid_binarize.md counts their work.
#pragma once

#include "kernels/cuda/port.h"
#include "kernels/grid_binarize.h"

namespace tessera::grid_binarize_lab {
inline namespace TESSERA_PORT {

inline constexpr int kThreads = 128;

// Position of a pixel centre of the picture on the map, along one axis.
struct Place {
  int64_t left, right;
  float fraction;  // weight of the right one

  __device__ Place(int64_t pixel, int64_t pixels, int64_t resized, double stride, int64_t extent) {
    const double most = static_cast<double>(extent - 1);
    double at = (static_cast<double>(pixel) + 0.5) * resized / pixels / stride - 0.5;
    at = at < 0.0 ? 0.0 : at > most ? most : at;
    left = static_cast<int64_t>(at);
    right = left + 1 < extent ? left + 1 : left;
    fraction = static_cast<float>(at - static_cast<double>(left));
  }
};

// A pixel of a box: its cell, and the four map pixels around it.
struct Pixel {
  Place across, down;
  int64_t cell;  // of all boxes

  __device__ Pixel(const GridBinarizeArgs& args, int64_t box, int64_t x, int64_t y)
      : across(x, args.original_width, args.resized_width, args.stride, args.width),
        down(y, args.original_height, args.resized_height, args.stride, args.height) {
    const float* corners = args.boxes + 4 * box;
    const auto along = [&](int64_t position, double low, double high) {
      const int at = static_cast<int>(args.k * (static_cast<double>(position) + 0.5 - low) / (high - low));
      return at < args.k - 1 ? at : args.k - 1;
    };
    cell = (box * args.k + along(y, corners[1], corners[3])) * args.k + along(x, corners[0], corners[2]);
  }

  // The value at(row, column) of the map, interpolated.
  template <typename At>
  __device__ float interpolate(At&& at) const {
    const float above =
        at(down.left, across.left) * (1.0f - across.fraction) + at(down.left, across.right) * across.fraction;
    const float below =
        at(down.right, across.left) * (1.0f - across.fraction) + at(down.right, across.right) * across.fraction;
    return above * (1.0f - down.fraction) + below * down.fraction;
  }
};

// Block row y: box y; its threads write the bytes of the mask. bit(Pixel) -> bool.
template <typename Bit>
__device__ void write_mask(const GridBinarizeArgs& args, Bit&& bit) {
  const int64_t box = blockIdx.y;
  const PixelRectangle rectangle = args.rectangles[box];
  const int64_t row_bytes = rectangle.row_bytes();
  for_each_element(row_bytes * rectangle.height, [&](int64_t i) {
    const int64_t first = i % row_bytes * 8;
    unsigned bits = 0;
    for (int64_t x = first; x < first + 8 && x < rectangle.width; ++x) {
      const Pixel pixel(args, box, rectangle.x + x, rectangle.y + i / row_bytes);
      bits |= static_cast<unsigned>(bit(pixel)) << (x - first);
    }
    args.bits[args.offsets[box] + i] = static_cast<uint8_t>(bits);
  });
}

inline dim3 mask_grid(const GridBinarizeArgs& args) {
  return dim3(grid_for(args.original_height * ((args.original_width + 7) / 8), kThreads),
              static_cast<unsigned>(args.count));
}

}  // namespace TESSERA_PORT
}  // namespace tessera::grid_binarize_lab
