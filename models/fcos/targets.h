// Which cells of the pyramid answer for which object. Host code: for each object only the cells of its centre region
// are visited, no matrix of cells times objects is made.
#pragma once

#include <vector>

#include "data/annotations/annotations.h"
#include "engine/core/pyramid.h"
#include "models/fcos/config.h"

namespace tessera {

// Where the cells of one level lie: cell u has x = u * step_x + offset, in input pixels.
struct LevelGrid {
  float step_x = 0, step_y = 0, offset = 0;
  float unit = 1;           // input pixels per unit of the predicted distances
  float low = 0, high = 0;  // range of the longest side distance that this level answers for
};

// The grids of all levels for a batch padded to height x width.
std::vector<LevelGrid> level_grids(const PyramidGeometry& geometry, int64_t height, int64_t width,
                                   const FcosConfig& config);

// A cell that answers for an object.
struct PositiveCell {
  int32_t row = 0;  // of the pyramid
  int32_t image = 0;
  int32_t level = 0;
  int32_t object = 0;       // index in ImageTargets::objects
  float x = 0, y = 0;       // the cell's location, input pixels
  float distances[4] = {};  // left, top, right, bottom to the object's box, in the level's unit
  float centerness = 0;     // sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))
};

struct FcosTargets {
  std::vector<int32_t> labels;          // [R] in the order of pyramid rows; `classes` = background
  std::vector<PositiveCell> positives;  // ordered by image, level, y, x
};

// Spec section 2.2: a cell belongs to the object of smallest area (the first of equals) whose centre region holds the
// cell strictly inside and whose longest side distance is in the level's range. Objects with empty boxes are passed
// over.
FcosTargets assign_fcos_targets(const PyramidGeometry& geometry, const std::vector<LevelGrid>& grids,
                                const std::vector<ImageTargets>& images, const FcosConfig& config);

}  // namespace tessera
