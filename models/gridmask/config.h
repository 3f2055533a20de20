// The knobs of GridMask (spec section 3.9). k, dim and alpha are the paper's k, d and alpha.
#pragma once

#include <cstdint>

#include "layers/conv2d.h"

namespace tessera {

enum class PixelBranchKind : uint8_t { concat, panoptic_fpn };
enum class Positives : uint8_t { random, topk_per_image };  // which locations learn masks: see max_positives
enum class TrainBox : uint8_t { gt, pred, jitter };         // the box that defines the grid cells of a positive
enum class TrainMask : uint8_t { sampled, coverage };       // what a loss pixel should be: see gridmask_loss
enum class EmptyCellNorm : uint8_t { nonempty, literal };   // divide by non-empty cells, or by k * k as printed

struct GridMaskConfig {
  int k = 3;           // cells along a side of the box
  int dim = 16;        // embedding channels
  float alpha = 5.0f;  // of Proj(x) = sigmoid(alpha x)

  // Pixel branch
  PixelBranchKind pixel = PixelBranchKind::concat;
  int pixel_levels = 4;  // of concat: fused levels from the first of the pyramid on; 1 or 4
  int pixel_channels = 128;
  NormConfig pixel_norm = {.kind = NormKind::gn};

  // Object branch
  int hidden_convs = 3;  // 3x3 convolutions in front of the predicting one
  int norm_groups = 32;

  // Training
  int train_stride = 8;  // input pixels per loss pixel
  TrainBox train_box = TrainBox::gt;
  TrainMask train_mask = TrainMask::sampled;
  EmptyCellNorm empty_cell_norm = EmptyCellNorm::nonempty;
  Positives positives = Positives::random;
  int max_positives = 500;  // of random: a subset of the batch when there are more
  int topk_per_image = 64;  // of topk_per_image: shared out among the objects of a picture

  int object_channels() const { return 2 * k * k * dim; }
};

}  // namespace tessera
