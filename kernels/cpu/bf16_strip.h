// Rows of a map in bf16, laid out so that the neighbours of consecutive destination cells lie a constant distance
// apart, at every tap and across the ends of rows: the rows of a tile (bf16_gather.h).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/bf16_tiles.h"
#include "kernels/cpu/gathered_product.h"

namespace tessera {

// How the strips of a grid are made: [phase][row][column][group][channels and zeros up to a multiple of 32], zero
// outside the map. A phase holds the source cells whose row and column have the same remainders by the source step.
class Bf16StripShape {
 public:
  Bf16StripShape(const GatheredProduct& product, const GatherGrid& grid);

  int64_t columns() const { return columns_; }        // at least those of the destination
  int64_t cell() const { return cell_; }              // values from one cell to the next
  int64_t group_size() const { return group_size_; }  // values from one group to the next
  int64_t row() const;                                // values of a row of all phases, not 0
  int64_t halo() const { return halo_; }              // rows beyond those of the destination
  int64_t values(int64_t rows) const;                 // for so many destination rows, with what whole tiles read behind

  // Where the source cell of the first destination cell at a tap of the product lies.
  int64_t place(int64_t tap, int64_t rows) const;

  // Writes the strip of destination rows [y, y + rows) of an image.
  void round(int64_t image, int64_t y, int64_t rows, Bf16* values) const;

 private:
  struct Phase {
    int64_t y, x;  // of the source cells, modulo the step
  };

  void round_row(const Phase& phase, const float* from, Bf16* to) const;
  int64_t phase_values(int64_t rows) const { return (rows + halo_) * columns_ * cell_; }
  int64_t source_channels() const { return product_.groups * product_.source_channels; }

  const GatheredProduct& product_;
  const GatherGrid& grid_;
  std::vector<Phase> phases_;       // those that a tap needs
  std::vector<int64_t> tap_phase_;  // of each tap of the grid
  int64_t top_ = 0, left_ = 0;      // of a phase, relative to the first destination cell
  int64_t halo_ = 0, columns_ = 0, group_size_ = 0, cell_ = 0;
};

}  // namespace tessera
