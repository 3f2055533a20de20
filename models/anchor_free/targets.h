// Which cells of the grids learn which object, and what they learn (spec 4.2; SOLO's rule). Host code.
#pragma once

#include <cstdint>
#include <vector>

#include "data/annotations/annotations.h"
#include "models/anchor_free/config.h"

namespace tessera {

// The cells of one level that an object claims, both ends included.
struct CellRect {
  int level = 0;
  int top = 0, bottom = 0, left = 0, right = 0;

  bool operator==(const CellRect&) const = default;
};

// At most 3x3 cells around the centre on every level whose range holds sqrt(width * height). center_x, center_y: centre
// of mass in pixel indices; height, width: of the padded batch, which the grids divide.
std::vector<CellRect> claimed_cells(const Box& box, double center_x, double center_y, int64_t height, int64_t width,
                                    const AnchorFreeConfig& config);

// A cell that learns the mask of an object.
struct CellPair {
  int32_t row = 0;  // of the token matrix: level after level, in each image after image, then y-major
  int32_t image = 0;
  int32_t object = 0;  // index in ImageTargets::objects
  int32_t mask = 0;    // index into GridTargets::masks
};

// Masks of one bit a pixel: rows of whole words follow each other without gaps between rows, so that a mask is
// ceil(height * width / 32) words; pixel p is bit p % 32 of word p / 32.
struct PackedMasks {
  int64_t count = 0, height = 0, width = 0;
  std::vector<int32_t> words;  // [count, words_per_mask()]

  int64_t words_per_mask() const { return (height * width + 31) / 32; }
  bool at(int64_t mask, int64_t pixel) const {
    return static_cast<uint32_t>(words[static_cast<size_t>(mask * words_per_mask() + pixel / 32)]) >> (pixel % 32) & 1;
  }
};

struct GridTargets {
  std::vector<int32_t> labels;  // [R] in the order of token rows; `classes` = background
  std::vector<CellPair> pairs;  // ordered by image, then object, level, y, x
  PackedMasks masks;            // of the objects that have a pair, at config.mask_stride
  int64_t positives = 0;        // distinct cells with a label
  int64_t shared_cells = 0;     // cells claimed by more than one object
  int64_t overwritten = 0;      // claims that lost the label of their cell to a later object
  int64_t without_cell = 0;     // objects without a pixel, or in no level's range
};

// height, width: of the padded batch. A later object overwrites the label of an earlier one; both masks stay pairs,
// unless config.unique_cells.
GridTargets assign_grid_targets(const std::vector<ImageTargets>& images, int64_t height, int64_t width,
                                const AnchorFreeConfig& config);

// 1 where at least two of the centre 2x2 pixels of a block are set (the block is 4x4 at stride 4, 2x2 at stride 2);
// pixels outside the mask are 0. words: height / stride * width / stride bits, zeroed before.
void pack_mask(const Bitmap& mask, int stride, int64_t height, int64_t width, int32_t* words);

// Per class the union of its objects' masks, reduced to the map of stride 2^config.semantic_level and set where a
// bilinear sample exceeds 0.5 (three of the centre 2x2). [images, height / s, width / s, classes], 0 or 1.
std::vector<float> semantic_targets(const std::vector<ImageTargets>& images, int64_t height, int64_t width,
                                    const AnchorFreeConfig& config);

}  // namespace tessera
