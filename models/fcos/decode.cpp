#include "models/fcos/decode.h"

#include "engine/ops/fcos_decode.h"
#include "engine/ops/nms.h"
#include "engine/ops/select_top_k.h"

namespace tessera {

namespace {

CandidateRule candidate_rule(ScoreThreshold threshold) {
  switch (threshold) {
    case ScoreThreshold::classification:
      return CandidateRule::class_probability;
    case ScoreThreshold::joint:
      return CandidateRule::product;
    case ScoreThreshold::square_root:
      return CandidateRule::root_of_product;
  }
  return CandidateRule::class_probability;
}

// i32 [N, 4]: original height and width, resized height and width.
Tensor image_sizes(Context& context, const std::vector<ImageGeometry>& geometry) {
  std::vector<int32_t> sizes;
  for (const ImageGeometry& image : geometry) {
    sizes.insert(sizes.end(), {image.original_height, image.original_width, image.resized_height, image.resized_width});
  }
  return Tensor::constant<int32_t>(context, {static_cast<int64_t>(geometry.size()), 4}, sizes);
}

// Height and width of the pictures inside the padded batch, f32 [N, 2].
Tensor resized_sizes(Context& context, const std::vector<ImageGeometry>& geometry) {
  std::vector<float> sizes;
  for (const ImageGeometry& image : geometry) {
    sizes.insert(sizes.end(), {static_cast<float>(image.resized_height), static_cast<float>(image.resized_width)});
  }
  return Tensor::constant<float>(context, {static_cast<int64_t>(geometry.size()), 2}, sizes);
}

}  // namespace

Candidates fcos_detections(Context& context, const FcosOutput& output, const std::vector<ImageGeometry>& pictures,
                           int64_t padded_height, int64_t padded_width, const FcosConfig& config) {
  const PyramidGeometry& geometry = output.logits.geometry;
  const TopKSelection selection = select_top_k(
      context, output.logits.rows.value, output.centerness.rows.value, geometry,
      {.rule = candidate_rule(config.threshold_on), .threshold = config.score_threshold, .k = config.pre_nms_top_k});
  Tensor clip_sizes;
  if (config.clip_before_nms) clip_sizes = resized_sizes(context, pictures);
  const Candidates candidates =
      fcos_decode(context, selection, output.distances.rows.value, geometry, clip_sizes,
                  {.location = config.integer_strides ? LocationRule::torchvision : LocationRule::half_stride,
                   .padded_height = padded_height,
                   .padded_width = padded_width,
                   .pixel_distances = config.unit == RegressionUnit::pixel,
                   .root_score = config.square_root_score});
  const Candidates kept =
      nms(context, candidates, {.iou_threshold = config.nms_threshold, .capacity = config.max_detections});
  return rescale_candidates(context, kept, image_sizes(context, pictures));
}

}  // namespace tessera
