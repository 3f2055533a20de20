// Statistics that the maker of rows [*, C] leaves beside them for a group norm, which then reads the rows once instead
// of twice. The rows of every segment (an image, or a level of an image) are divided into parts as suits the maker; no
// part holds rows of two segments. Parts are joined by Chan, Golub and LeVeque's formula ("Updating Formulae and a
// Pairwise Algorithm for Computing Sample Variances", 1979): no difference of sums of squares is ever taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera {

struct RowMoments {
  int32_t* rows = nullptr;  // [P] rows of each part; 0: the part is not used. Null: no statistics
  float* values = nullptr;  // [P, 2, C] of each used part and channel: mean, sum of squared deviations from this mean
};

// Which parts belong to which segment: enough for any maker whose parts have at least 64 rows, but for the first and
// the last of a segment.
class MomentParts {
 public:
  void add_segment(int64_t rows) { ends_.push_back(count() + (rows + 63) / 64 + 1); }

  int64_t count() const { return ends_.empty() ? 0 : ends_.back(); }  // P
  int64_t segments() const { return static_cast<int64_t>(ends_.size()); }
  int64_t begin(int64_t segment) const { return segment == 0 ? 0 : ends_[static_cast<size_t>(segment) - 1]; }
  int64_t end(int64_t segment) const { return ends_[static_cast<size_t>(segment)]; }

 private:
  std::vector<int64_t> ends_;
};

}  // namespace tessera
