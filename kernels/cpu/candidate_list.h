// Appending to the fixed-capacity list of one image.
#pragma once

#include <algorithm>

#include "kernels/candidate_args.h"

namespace tessera {

class CandidateWriter {
 public:
  CandidateWriter(const CandidateArgs& list, int64_t image)
      : list_(list), count_(list.counts + image), begin_(image * list.capacity) {}

  bool full() const { return used_ == list_.capacity; }

  void add(const float* box, float score, int32_t category, int32_t row) {
    const int64_t at = begin_ + used_++;
    std::copy_n(box, 4, list_.boxes + 4 * at);
    list_.scores[at] = score;
    list_.classes[at] = category;
    list_.rows[at] = row;
  }

  // Clears what is left over and writes the count.
  void finish() {
    const int64_t at = begin_ + used_, left = list_.capacity - used_;
    std::fill_n(list_.boxes + 4 * at, 4 * left, 0.0f);
    std::fill_n(list_.scores + at, left, 0.0f);
    std::fill_n(list_.classes + at, left, 0);
    std::fill_n(list_.rows + at, left, 0);
    *count_ = static_cast<int32_t>(used_);
  }

 private:
  const CandidateArgs& list_;
  int32_t* count_;
  int64_t begin_;
  int64_t used_ = 0;
};

}  // namespace tessera
