#include "models/anchor_free/targets.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace tessera {

namespace {

struct Centre {
  int64_t pixels = 0;
  double x = 0, y = 0;
};

// Centre of mass in pixel indices, exact up to the division.
Centre centre_of_mass(const Bitmap& mask) {
  Centre centre;
  int64_t sum_x = 0, sum_y = 0;
  for (int y = 0; y < mask.height; ++y) {
    const uint8_t* row = mask.pixels.data() + static_cast<size_t>(y) * mask.width;
    int64_t in_row = 0;
    for (int x = 0; x < mask.width; ++x) {
      in_row += row[x] != 0;
      sum_x += row[x] != 0 ? x : 0;
    }
    centre.pixels += in_row;
    sum_y += in_row * y;
  }
  if (centre.pixels > 0) {
    centre.x = static_cast<double>(sum_x) / static_cast<double>(centre.pixels);
    centre.y = static_cast<double>(sum_y) / static_cast<double>(centre.pixels);
  }
  return centre;
}

// Set pixels among the centre 2x2 of the block (by, bx) of side `stride`; those outside the mask are 0.
int centre_pixels(const Bitmap& mask, int stride, int64_t by, int64_t bx) {
  const int64_t y = by * stride + stride / 2 - 1, x = bx * stride + stride / 2 - 1;
  int set = 0;
  for (int64_t row = y; row < std::min<int64_t>(y + 2, mask.height); ++row) {
    const uint8_t* line = mask.pixels.data() + row * mask.width;
    for (int64_t column = x; column < std::min<int64_t>(x + 2, mask.width); ++column) set += line[column] != 0;
  }
  return set;
}

// The blocks of a grid of height x width that a mask reaches.
struct BlockRange {
  int64_t rows = 0, columns = 0;
};
BlockRange blocks_of(const Bitmap& mask, int stride, int64_t height, int64_t width) {
  return {std::min<int64_t>(height, (mask.height + stride - 1) / stride),
          std::min<int64_t>(width, (mask.width + stride - 1) / stride)};
}

}  // namespace

std::vector<CellRect> claimed_cells(const Box& box, double center_x, double center_y, int64_t height, int64_t width,
                                    const AnchorFreeConfig& config) {
  std::vector<CellRect> cells;
  const double box_width = box.width(), box_height = box.height();
  if (!(box_width > 0 && box_height > 0)) return cells;
  const double scale = std::sqrt(box_width * box_height);
  const double half_width = 0.5 * box_width * config.sigma, half_height = 0.5 * box_height * config.sigma;
  for (size_t level = 0; level < config.grids.size(); ++level) {
    if (scale < config.ranges[level].low || scale > config.ranges[level].high) continue;
    const int count = config.grids[level];
    const auto cell = [count](double value, int64_t extent) {
      return static_cast<int>(std::floor(value * count / static_cast<double>(extent)));
    };
    const int row = cell(center_y, height), column = cell(center_x, width);
    CellRect rect{static_cast<int>(level), std::max({cell(center_y - half_height, height), 0, row - 1}),
                  std::min({cell(center_y + half_height, height), count - 1, row + 1}),
                  std::max({cell(center_x - half_width, width), 0, column - 1}),
                  std::min({cell(center_x + half_width, width), count - 1, column + 1})};
    cells.push_back(rect);
  }
  return cells;
}

void pack_mask(const Bitmap& mask, int stride, int64_t height, int64_t width, int32_t* words) {
  const int64_t columns = width / stride;
  const BlockRange reach = blocks_of(mask, stride, height / stride, columns);
  for (int64_t y = 0; y < reach.rows; ++y) {
    for (int64_t x = 0; x < reach.columns; ++x) {
      if (centre_pixels(mask, stride, y, x) < 2) continue;
      const int64_t pixel = y * columns + x;
      words[pixel / 32] |= static_cast<int32_t>(uint32_t{1} << (pixel % 32));
    }
  }
}

GridTargets assign_grid_targets(const std::vector<ImageTargets>& images, int64_t height, int64_t width,
                                const AnchorFreeConfig& config) {
  const auto batch = static_cast<int64_t>(images.size());
  std::vector<int64_t> level_begin;
  int64_t rows = 0;
  for (const int grid : config.grids) {
    level_begin.push_back(rows);
    rows += batch * grid * grid;
  }
  GridTargets targets;
  targets.labels.assign(static_cast<size_t>(rows), config.classes);
  targets.masks = {0, height / config.mask_stride, width / config.mask_stride, {}};
  std::vector<int32_t> claims(static_cast<size_t>(rows), 0);
  for (size_t image = 0; image < images.size(); ++image) {
    const std::vector<ObjectTarget>& objects = images[image].objects;
    const size_t first_pair = targets.pairs.size();
    for (size_t object = 0; object < objects.size(); ++object) {
      const ObjectTarget& target = objects[object];
      TESSERA_CHECK(target.label >= 0 && target.label < config.classes, "label {} of {} classes", target.label,
                    config.classes);
      const Centre centre = centre_of_mass(target.mask);
      std::vector<CellRect> rects;
      if (centre.pixels > 0) rects = claimed_cells(target.box, centre.x, centre.y, height, width, config);
      bool has_cell = false;
      for (const CellRect& rect : rects) {
        const int grid = config.grids[static_cast<size_t>(rect.level)];
        for (int y = rect.top; y <= rect.bottom; ++y) {
          for (int x = rect.left; x <= rect.right; ++x) {
            const int64_t row =
                level_begin[static_cast<size_t>(rect.level)] + static_cast<int64_t>(image) * grid * grid + y * grid + x;
            has_cell = true;
            targets.labels[static_cast<size_t>(row)] = target.label;
            int32_t& claimed = claims[static_cast<size_t>(row)];
            targets.positives += claimed == 0;
            targets.shared_cells += claimed == 1;
            targets.overwritten += claimed > 0;
            ++claimed;
            if (config.unique_cells && claimed > 1) {
              std::erase_if(targets.pairs, [row](const CellPair& pair) { return pair.row == row; });
            }
            targets.pairs.push_back(
                {static_cast<int32_t>(row), static_cast<int32_t>(image), static_cast<int32_t>(object), 0});
          }
        }
      }
      targets.without_cell += !has_cell;
    }
    // Masks are packed once all claims of the picture are known: an object may have lost every cell.
    std::vector<int32_t> mask_of(objects.size(), -1);
    for (size_t i = first_pair; i < targets.pairs.size(); ++i) {
      CellPair& pair = targets.pairs[i];
      int32_t& mask = mask_of[static_cast<size_t>(pair.object)];
      if (mask < 0) {
        mask = static_cast<int32_t>(targets.masks.count++);
        const auto begin = targets.masks.words.size();
        targets.masks.words.resize(begin + static_cast<size_t>(targets.masks.words_per_mask()), 0);
        pack_mask(objects[static_cast<size_t>(pair.object)].mask, config.mask_stride, height, width,
                  targets.masks.words.data() + begin);
      }
      pair.mask = mask;
    }
  }
  return targets;
}

std::vector<float> semantic_targets(const std::vector<ImageTargets>& images, int64_t height, int64_t width,
                                    const AnchorFreeConfig& config) {
  const int stride = 1 << config.semantic_level;
  const int64_t rows = height / stride, columns = width / stride, classes = config.classes;
  std::vector<float> targets(images.size() * static_cast<size_t>(rows * columns * classes), 0.0f);
  for (size_t image = 0; image < images.size(); ++image) {
    const std::vector<ObjectTarget>& objects = images[image].objects;
    float* out = targets.data() + image * static_cast<size_t>(rows * columns * classes);
    for (int label = 0; label < config.classes; ++label) {
      // The union first: pixels of one block may belong to different objects of the class.
      Bitmap all;
      for (const ObjectTarget& object : objects) {
        if (object.label != label || object.mask.pixels.empty()) continue;
        if (all.pixels.empty()) {
          all = object.mask;
          continue;
        }
        for (size_t i = 0; i < all.pixels.size(); ++i) all.pixels[i] |= object.mask.pixels[i];
      }
      if (all.pixels.empty()) continue;
      const BlockRange reach = blocks_of(all, stride, rows, columns);
      for (int64_t y = 0; y < reach.rows; ++y) {
        for (int64_t x = 0; x < reach.columns; ++x) {
          if (centre_pixels(all, stride, y, x) >= 3) out[(y * columns + x) * classes + label] = 1.0f;
        }
      }
    }
  }
  return targets;
}

}  // namespace tessera
