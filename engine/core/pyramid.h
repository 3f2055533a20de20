// The levels of a feature pyramid as ONE matrix of rows: level after level, in each level image after image, then
// y-major pixels. A tower with weights shared over levels is one op on these rows, its logits are already concatenated
// for the loss, and each level is also an ordinary N, H, W, C view.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/tensor.h"

namespace tessera {

struct PyramidLevel {
  int64_t height = 0;
  int64_t width = 0;
  int64_t stride = 0;     // input pixels per cell
  int64_t row_begin = 0;  // first row of this level

  int64_t cells() const { return height * width; }
};

class PyramidGeometry {
 public:
  PyramidGeometry() = default;
  explicit PyramidGeometry(int64_t images) : images_(images) {}

  void add_level(int64_t height, int64_t width, int64_t stride) {
    levels_.push_back({height, width, stride, rows_});
    rows_ += images_ * height * width;
    cells_ += height * width;
  }

  int64_t images() const { return images_; }
  int64_t rows() const { return rows_; }    // of all levels and images
  int64_t cells() const { return cells_; }  // of all levels of one image
  int64_t level_count() const { return static_cast<int64_t>(levels_.size()); }
  const PyramidLevel& level(int64_t index) const {
    TESSERA_CHECK(index >= 0 && index < level_count(), "level {} of {}", index, level_count());
    return levels_[static_cast<size_t>(index)];
  }
  const std::vector<PyramidLevel>& levels() const { return levels_; }

  // Row of the cell (y, x) of a level of an image.
  int64_t row(int64_t level_index, int64_t image, int64_t y, int64_t x) const {
    const PyramidLevel& at = level(level_index);
    return at.row_begin + image * at.cells() + y * at.width + x;
  }

  // rows [rows(), C] -> view [images, height, width, C] of one level.
  Tensor level_view(const Tensor& rows, int64_t index) const {
    const PyramidLevel& at = level(index);
    TESSERA_CHECK(rows.shape().rank() == 2 && rows.extent(0) == rows_, "{} for {} rows", rows.shape().to_string(),
                  rows_);
    return rows.slice(at.row_begin, at.row_begin + images_ * at.cells())
        .reshape({images_, at.height, at.width, rows.extent(1)});
  }

 private:
  int64_t images_ = 0;
  int64_t rows_ = 0;
  int64_t cells_ = 0;
  std::vector<PyramidLevel> levels_;
};

}  // namespace tessera
