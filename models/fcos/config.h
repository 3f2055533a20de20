// Everything in which the public implementations of FCOS (Tian et al. 2019) differ, as flags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops/iou_loss.h"

namespace tessera {

enum class RegressionActivation : uint8_t { relu, exp };
enum class RegressionUnit : uint8_t { stride, pixel };                       // of the four predicted distances
enum class BoxQuality : uint8_t { centerness, iou };                         // what the "ctr" branch learns
enum class ScoreThreshold : uint8_t { classification, joint, square_root };  // cls, cls * ctr, sqrt(cls * ctr)
enum class BoxWeight : uint8_t { centerness, none };  // sum / sum of centerness, or sum / positives

struct FcosConfig {
  int classes = 80;
  int channels = 256;
  int tower_convs = 4;
  int norm_groups = 32;

  RegressionActivation activation = RegressionActivation::relu;
  bool level_scales = true;  // a learned factor per level in front of the activation
  RegressionUnit unit = RegressionUnit::stride;
  bool centerness_on_regression = true;  // which tower the centerness reads

  // Targets
  float range_scale = 1.0f;      // multiplies the bounds 64, 128, 256, 512 between the levels
  bool ranges_inclusive = true;  // false: strictly between, and P3 starts at 0
  float center_radius = 1.5f;    // of the square around the box centre, in strides; 0: the whole box
  bool integer_strides = false;  // torchvision: cells lie at x * (padded size / grid size), without half a stride

  // Losses
  IouLossKind box_loss = IouLossKind::giou;
  bool box_loss_plus_one = true;  // (inter + 1) / (union + 1); false: as torchvision, eps 1e-7
  BoxWeight box_weight = BoxWeight::centerness;
  BoxQuality box_quality = BoxQuality::centerness;

  // Inference
  float score_threshold = 0.05f;
  ScoreThreshold threshold_on = ScoreThreshold::classification;
  bool square_root_score = true;  // sqrt(cls * ctr), else cls * ctr
  bool clip_before_nms = false;
  int pre_nms_top_k = 1000;  // per level
  float nms_threshold = 0.6f;
  int max_detections = 100;
};

// "adelaidet" (the reference), "torchvision", "fcos2019" (tianzhi0549/FCOS, plain), "mmdet" (v2, plain).
// Throws Error(usage) for other names. Sizes, classes and range_scale are left at their defaults.
FcosConfig fcos_variant(std::string_view name);
const std::vector<std::string>& fcos_variant_names();

}  // namespace tessera
