// The knobs of the anchor-free YOLACTR system (spec yolactr.md; paper section 3). Sizes are those of the paper's COCO
// model; a small model changes channels, grids and ranges together.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera {

enum class TransformerBlock : uint8_t { hybrid_rezero, preln_mlp };  // spec 2.3, 2.4
enum class MaskHead : uint8_t { paper, sotr };                       // spec 3.1, 3.3
enum class AttentionPosition : uint8_t { after, before };            // of channel-spatial attention: after the sampling
enum class MaskLoss : uint8_t { dice, bce };                         // table 2 of the paper
enum class ClassLoss : uint8_t { focal, ce };                        // table 2 of the paper
enum class MaskSuppression : uint8_t { matrix_gaussian, matrix_linear, mask };

// Objects whose sqrt(width * height) in input pixels lies in [low, high] belong to the level.
struct ScaleRange {
  float low = 0, high = 0;

  bool operator==(const ScaleRange&) const = default;
};

struct AnchorFreeConfig {
  static constexpr int kLevels = 5;
  static constexpr int kHeadWidth = 32;        // channels of one attention head
  static constexpr int kTokenLevel = 3;        // the level whose grid stands for P5: positions of T5
  static constexpr float kClassPrior = 0.01f;  // probability every class starts with

  int classes = 80;
  int channels = 256;  // of the pyramid and the transformer
  int norm_groups = 32;

  // Prediction network
  std::vector<int> grids = {40, 36, 24, 16, 12};  // cells along a side, level by level
  int layers = 6;
  TransformerBlock block = TransformerBlock::hybrid_rezero;
  bool duplicate_width = false;  // SOTR's code: the map beside itself, both halves averaged at the end
  bool position = true;          // learned row and column embeddings
  bool position_trainable = true;
  bool recompute = false;        // keep only the input of each layer of a level for backward
  bool token_from_grid = false;  // T5 out of the grid of P5 instead of a run at the native size

  // Mask network
  MaskHead mask_head = MaskHead::paper;
  AttentionPosition attention_position = AttentionPosition::after;
  int mask_channels = 128;
  int kernel_channels = 256;  // of the mask features F, and numbers in a dynamic kernel (lambda = 1)
  bool coord_conv = false;    // x and y in -1..1 beside T5

  // Training-only head
  bool semantic = true;
  int semantic_level = 3;  // of the pyramid: 3 = P3

  // Targets
  std::vector<ScaleRange> ranges = {{1, 96}, {48, 192}, {96, 384}, {192, 768}, {384, 2048}};
  float sigma = 0.2f;         // centre region as a share of the box
  bool unique_cells = false;  // a cell claimed by several objects learns the mask of the last one only
  int mask_stride = 4;        // input pixels per pixel of the mask loss: 4, or 2 (logits are enlarged)

  // Losses
  ClassLoss class_loss = ClassLoss::focal;
  MaskLoss mask_loss = MaskLoss::dice;
  bool dice_squared = true;  // squares in the divisor (SOLO); false: as the paper prints it
  float class_weight = 1.0f, mask_weight = 3.0f, semantic_weight = 0.8f;

  // Inference
  float score_threshold = 0.1f;
  float mask_threshold = 0.5f;
  std::vector<int> least_areas = {8, 8, 16, 32, 32};  // a mask needs more pixels at stride 4, level by level
  int measured = 512;                                 // best cells whose masks are made
  int candidates = 500;                               // that enter suppression
  MaskSuppression suppression = MaskSuppression::matrix_gaussian;
  float nms_sigma = 2.0f;
  float nms_threshold = 0.5f;    // of suppression "mask": greater overlaps are removed
  float keep_threshold = 0.05f;  // least score after matrix suppression
  int max_detections = 100;
  int chunk = 256;  // candidates whose masks exist at once

  int heads() const { return channels / kHeadWidth; }
  // Width of the class logits: cross entropy has a background class, the last.
  int logits() const { return classes + (class_loss == ClassLoss::ce ? 1 : 0); }
};

}  // namespace tessera
