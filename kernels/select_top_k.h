// The best candidates of a dense detector, per image and pyramid level: every (row, class) whose probability passes a
// threshold, at most k of them by falling value = sigmoid(class logit) * sigmoid(quality logit), ties by row, then by
// class. Rows of one image rise with (level, y, x), so this is a total order.
// Most logits never meet an exponential: they are compared with the logit of the threshold first.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// What is compared with the threshold (strictly greater passes).
enum class CandidateRule : uint8_t {
  class_probability,  // sigmoid(class)
  product,            // sigmoid(class) * sigmoid(quality)
  root_of_product,    // its square root
  given,              // the entry itself: "logits" are probabilities already, and so are values; no quality
};

// Rows of one pyramid level, see PyramidGeometry; `images` blocks of height * width rows.
struct LevelRows {
  int64_t row_begin, height, width, stride;
};

struct SelectTopKArgs {
  const float* class_logits;    // [rows, classes]
  const float* quality_logits;  // [rows], or null: quality 1
  const LevelRows* levels;      // [level_count], on the host
  float* values;                // [images, levels, k]
  int32_t* rows;                // [images, levels, k] row of class_logits
  int32_t* classes;             // [images, levels, k]
  int32_t* counts;              // [images, levels]; entries beyond the count are 0
  int64_t images, level_count, class_count, k;
  CandidateRule rule;
  float threshold;
};

TESSERA_KERNEL(select_top_k, SelectTopKArgs);

}  // namespace tessera
