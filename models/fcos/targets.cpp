#include "models/fcos/targets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace tessera {

namespace {

// Cells whose coordinate may lie in (low, high): a superset, the exact test follows.
struct CellRange {
  int64_t begin = 0, end = 0;
};
CellRange cells_between(float low, float high, float step, float offset, int64_t count) {
  const double first = std::floor((static_cast<double>(low) - offset) / step);
  const double last = std::ceil((static_cast<double>(high) - offset) / step);
  const auto clamp = [count](double v) { return static_cast<int64_t>(std::clamp(v, 0.0, static_cast<double>(count))); };
  return {clamp(first), clamp(last + 1.0)};
}

struct Candidate {
  Box box;
  Box region;  // where cells are positive, open
  float area = 0;
};

// radius: half the side of the centre region, 0 = the whole box.
Candidate make_candidate(const Box& box, float radius) {
  Candidate candidate{box, box, box.area()};
  if (radius > 0) {
    const float center_x = (box.x1 + box.x2) / 2, center_y = (box.y1 + box.y2) / 2;
    candidate.region = {std::max(center_x - radius, box.x1), std::max(center_y - radius, box.y1),
                        std::min(center_x + radius, box.x2), std::min(center_y + radius, box.y2)};
  }
  return candidate;
}

std::array<float, 4> side_distances(const Box& box, float x, float y) {
  return {x - box.x1, y - box.y1, box.x2 - x, box.y2 - y};
}

float centerness_of(const float (&d)[4]) {
  const float horizontal = std::min(d[0], d[2]) / std::max(d[0], d[2]);
  const float vertical = std::min(d[1], d[3]) / std::max(d[1], d[3]);
  return std::sqrt(horizontal * vertical);
}

// The owner of each cell of one level of one image, -1 = nobody.
class LevelAssignment {
 public:
  LevelAssignment(const PyramidLevel& level, const LevelGrid& grid, const FcosConfig& config)
      : level_(level),
        grid_(grid),
        config_(config),
        owner_(static_cast<size_t>(level.cells()), -1),
        owner_area_(owner_.size(), std::numeric_limits<float>::infinity()) {}

  void offer(int32_t object, const Box& box) {
    const Candidate candidate = make_candidate(box, config_.center_radius * static_cast<float>(level_.stride));
    const Box& region = candidate.region;
    const CellRange xs = cells_between(region.x1, region.x2, grid_.step_x, grid_.offset, level_.width);
    const CellRange ys = cells_between(region.y1, region.y2, grid_.step_y, grid_.offset, level_.height);
    for (int64_t v = ys.begin; v < ys.end; ++v) {
      const float y = y_of(v);
      for (int64_t u = xs.begin; u < xs.end; ++u) {
        const float x = x_of(u);
        const std::array<float, 4> inside = side_distances(region, x, y);
        if (!(*std::min_element(inside.begin(), inside.end()) > 0)) continue;
        const std::array<float, 4> sides = side_distances(box, x, y);
        if (!in_range(*std::max_element(sides.begin(), sides.end()))) continue;
        const size_t cell = static_cast<size_t>(v * level_.width + u);
        if (candidate.area < owner_area_[cell]) {
          owner_[cell] = object;
          owner_area_[cell] = candidate.area;
        }
      }
    }
  }

  int32_t owner(int64_t cell) const { return owner_[static_cast<size_t>(cell)]; }
  float x_of(int64_t u) const { return static_cast<float>(u) * grid_.step_x + grid_.offset; }
  float y_of(int64_t v) const { return static_cast<float>(v) * grid_.step_y + grid_.offset; }

 private:
  bool in_range(float longest) const {
    return config_.ranges_inclusive ? longest >= grid_.low && longest <= grid_.high
                                    : longest > grid_.low && longest < grid_.high;
  }

  const PyramidLevel& level_;
  const LevelGrid& grid_;
  const FcosConfig& config_;
  std::vector<int32_t> owner_;
  std::vector<float> owner_area_;
};

}  // namespace

std::vector<LevelGrid> level_grids(const PyramidGeometry& geometry, int64_t height, int64_t width,
                                   const FcosConfig& config) {
  constexpr float kUnbounded = 1e8f;
  std::vector<LevelGrid> grids;
  float bound = 64.0f * config.range_scale;
  for (const PyramidLevel& level : geometry.levels()) {
    LevelGrid grid;
    const float stride = static_cast<float>(level.stride);
    if (config.integer_strides) {
      grid.step_x = static_cast<float>(width / level.width);
      grid.step_y = static_cast<float>(height / level.height);
    } else {
      grid.step_x = grid.step_y = stride;
      grid.offset = static_cast<float>(level.stride / 2);
    }
    grid.unit = config.unit == RegressionUnit::stride ? stride : 1.0f;
    const bool first = grids.empty();
    const bool last = grids.size() + 1 == geometry.levels().size();
    grid.low = first ? (config.ranges_inclusive ? -1.0f : 0.0f) : grids.back().high;
    grid.high = last ? kUnbounded : bound;
    bound *= 2;
    grids.push_back(grid);
  }
  return grids;
}

FcosTargets assign_fcos_targets(const PyramidGeometry& geometry, const std::vector<LevelGrid>& grids,
                                const std::vector<ImageTargets>& images, const FcosConfig& config) {
  TESSERA_CHECK(static_cast<int64_t>(images.size()) == geometry.images(), "{} targets for {} images", images.size(),
                geometry.images());
  FcosTargets targets;
  targets.labels.assign(static_cast<size_t>(geometry.rows()), config.classes);
  for (size_t image = 0; image < images.size(); ++image) {
    const std::vector<ObjectTarget>& objects = images[image].objects;
    for (int64_t index = 0; index < geometry.level_count(); ++index) {
      const PyramidLevel& level = geometry.level(index);
      const LevelGrid& grid = grids[static_cast<size_t>(index)];
      LevelAssignment assignment(level, grid, config);
      for (size_t object = 0; object < objects.size(); ++object) {
        if (!objects[object].box.empty()) assignment.offer(static_cast<int32_t>(object), objects[object].box);
      }
      for (int64_t cell = 0; cell < level.cells(); ++cell) {
        const int32_t owner = assignment.owner(cell);
        if (owner < 0) continue;
        const ObjectTarget& object = objects[static_cast<size_t>(owner)];
        TESSERA_CHECK(object.label >= 0 && object.label < config.classes, "label {} of {} classes", object.label,
                      config.classes);
        PositiveCell positive;
        positive.row = static_cast<int32_t>(level.row_begin + static_cast<int64_t>(image) * level.cells() + cell);
        positive.image = static_cast<int32_t>(image);
        positive.level = static_cast<int32_t>(index);
        positive.object = owner;
        positive.x = assignment.x_of(cell % level.width);
        positive.y = assignment.y_of(cell / level.width);
        const std::array<float, 4> sides = side_distances(object.box, positive.x, positive.y);
        for (size_t side = 0; side < 4; ++side) positive.distances[side] = sides[side] / grid.unit;
        positive.centerness = centerness_of(positive.distances);
        targets.labels[static_cast<size_t>(positive.row)] = object.label;
        targets.positives.push_back(positive);
      }
    }
  }
  return targets;
}

}  // namespace tessera
