// Speed and exactness of grid binarization, against the form in which the paper states it.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct BinarizeBench {
  int boxes = 0;
  double megapixels = 0;          // in all boxes
  double milliseconds = 0;        // median of the rounds, all boxes
  double fastest = 0;             // milliseconds
  double slowest = 0;             // milliseconds
  double naive_milliseconds = 0;  // one thread: X interpolated at every pixel, two cosines in float
  int64_t differing = 0;          // bits that differ from the naive form in double
  double largest_margin = 0;      // largest |X . D| among those
  double foreground = 0;          // share of ones
};

// 100 boxes of a tenth of an 800 x 1088 picture, X 100 x 136 x 16 at stride 8, k = 3: a smooth field with noise. On a
// device with memory for the largest masks, so that nothing waits for the host.
BinarizeBench bench_binarize(Context& context, int rounds = 31);

void print_binarize_bench(const BinarizeBench& result);

}  // namespace tessera
