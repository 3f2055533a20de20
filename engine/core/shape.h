// Extents of a contiguous tensor, outermost first, up to five. Maps are N, H, W, C; weights O, H, W, I.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "engine/core/error.h"

namespace tessera {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const int64_t> extents) : rank_(static_cast<int>(extents.size())) {
    TESSERA_CHECK(extents.size() <= kMaxRank, "rank {}", extents.size());
    for (int i = 0; i < rank_; ++i) {
      TESSERA_CHECK(extents[i] >= 0, "extent {} of axis {}", extents[i], i);
      extents_[i] = extents[i];
    }
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const {
    TESSERA_CHECK(axis >= 0 && axis < rank_, "axis {} of rank {}", axis, rank_);
    return extents_[axis];
  }
  int64_t back() const { return (*this)[rank_ - 1]; }
  // Product of the extents; 1 for a scalar (rank 0).
  int64_t elements() const {
    int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= extents_[i];
    return product;
  }
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }
  bool operator==(const Shape&) const = default;

  std::string to_string() const {
    std::string text = "[";
    for (int i = 0; i < rank_; ++i) text += (i ? "x" : "") + std::to_string(extents_[i]);
    return text + "]";
  }

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace tessera
