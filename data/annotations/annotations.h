// Plain types of labelled and detected objects, shared by data/ and models/. No file formats here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tessera {

// Corners in continuous pixel coordinates: pixel p covers [p, p+1). COCO's x, y, w, h is x1, y1, x1 + w, y1 + h.
struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;

  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
  float area() const { return width() * height(); }
  bool empty() const { return !(x2 > x1 && y2 > y1); }
};

// A mask, one byte a pixel, 0 or 1, row-major.
struct Bitmap {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height * width]

  uint8_t at(int y, int x) const { return pixels[static_cast<size_t>(y) * width + x]; }
};

// A mask that is zero outside a rectangle of the image; inside it one bit a pixel, rows of whole bytes, least
// significant bit first.
struct BitMask {
  int x = 0, y = 0;           // upper left pixel of the rectangle in the image
  int width = 0, height = 0;  // of the rectangle, pixels
  std::vector<uint8_t> bits;  // [height * row_bytes()]

  int row_bytes() const { return (width + 7) / 8; }
  bool at(int row, int column) const {  // relative to the rectangle
    return bits[static_cast<size_t>(row) * row_bytes() + column / 8] >> (column % 8) & 1;
  }
};

// One labelled object of a training picture, in input pixels (after resize and flips, before padding).
struct ObjectTarget {
  Box box;
  int label = 0;  // contiguous class index, 0-based
  Bitmap mask;    // of the whole resized picture
};

struct ImageTargets {
  int64_t image_id = 0;
  int height = 0, width = 0;  // resized, before padding
  std::vector<ObjectTarget> objects;
};

// Sizes of one picture on its way through a network.
struct ImageGeometry {
  int original_height = 0, original_width = 0;
  int resized_height = 0, resized_width = 0;  // before padding
};

// One detected object, in pixels of the original picture.
struct Detection {
  Box box;
  float score = 0;
  int label = 0;
  bool has_mask = false;
  BitMask mask;
};

}  // namespace tessera
