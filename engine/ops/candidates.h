// Boxes on their way from a dense head to detections: fixed capacity, the number of valid entries on the device, so
// that nothing waits for the host. Entries beyond the count are zero (row 0 is a valid index for a gather).
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

struct Candidates {
  Tensor boxes;    // f32 [N, capacity, 4] x1 y1 x2 y2
  Tensor scores;   // f32 [N, capacity]
  Tensor classes;  // i32 [N, capacity]
  Tensor rows;     // i32 [N, capacity] row of the pyramid that made it; rises with (image, level, y, x)
  Tensor counts;   // i32 [N] valid entries

  static Candidates empty(Context& context, int64_t images, int64_t capacity) {
    return {Tensor::empty(context, {images, capacity, 4}, DType::f32, "candidates"),
            Tensor::empty(context, {images, capacity}, DType::f32, "candidates"),
            Tensor::empty(context, {images, capacity}, DType::i32, "candidates"),
            Tensor::empty(context, {images, capacity}, DType::i32, "candidates"),
            Tensor::empty(context, {images}, DType::i32, "candidates")};
  }
  int64_t images() const { return boxes.extent(0); }
  int64_t capacity() const { return boxes.extent(1); }
};

}  // namespace tessera
