// Overlap losses of boxes given as distances (left, top, right, bottom) from one point, so that two boxes of a row
// always overlap:
//   I = (min l + min r)(min t + min b),  U = area + area* - I,  H = (max l + max r)(max t + max b)
//   iou = (I + s) / (U + s + e),  giou = iou - (H - U) / (H + e)
//   loss = sum_i weight_i * { -ln iou | 1 - iou | 1 - giou }
// AdelaiDet: s = 1, e = 0 (distances in units of the stride). torchvision: s = 0, e = 1e-7.
// Where a minimum ties, each side gets half of the derivative, as in PyTorch.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

enum class IouLossKind : uint8_t { iou, linear_iou, giou };

struct IouLossArgs {
  const float* predicted;  // [rows, 4], not negative
  const float* target;     // [rows, 4], not negative
  const float* weights;    // [rows]
  float* loss;             // [1], the weighted sum times `scale`
  float* gradient;         // [rows, 4] d loss / d predicted, or null
  int64_t rows;
  IouLossKind kind;
  float smoothing;  // s
  float epsilon;    // e
  float scale;      // 1 / normalizer
};

struct DistanceIouArgs {
  const float* predicted;  // [rows, 4]
  const float* target;     // [rows, 4]
  float* iou;              // [rows], I / max(U, 1e-12)
  int64_t rows;
};

TESSERA_KERNEL(iou_loss, IouLossArgs);
TESSERA_KERNEL(distance_iou, DistanceIouArgs);

}  // namespace tessera
