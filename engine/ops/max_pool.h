// Maximum over square windows; cells outside the map never win. Agrees with torch.nn.functional.max_pool2d.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct MaxPoolOptions {
  int window = 3;  // at most 15
  int stride = 2;
  int padding = 1;  // at most half of the window, so that every window sees a cell
};

// x [N, H, W, C]; returns [N, oh, ow, C], oh = (H + 2 padding - window) / stride + 1. Keeps one byte per output.
Variable max_pool(Tape& tape, const Variable& x, const MaxPoolOptions& options = {});

}  // namespace tessera
