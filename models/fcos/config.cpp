#include "models/fcos/config.h"

#include "engine/core/error.h"

namespace tessera {

const std::vector<std::string>& fcos_variant_names() {
  static const std::vector<std::string> names = {"adelaidet", "torchvision", "fcos2019", "mmdet"};
  return names;
}

FcosConfig fcos_variant(std::string_view name) {
  FcosConfig config;
  if (name == "adelaidet") return config;
  config.clip_before_nms = true;
  if (name == "torchvision") {
    config.level_scales = false;
    config.ranges_inclusive = false;
    config.integer_strides = true;
    config.box_loss_plus_one = false;
    config.box_weight = BoxWeight::none;
    config.score_threshold = 0.2f;
    config.threshold_on = ScoreThreshold::square_root;
    return config;
  }
  config.activation = RegressionActivation::exp;
  config.unit = RegressionUnit::pixel;
  config.centerness_on_regression = false;
  config.center_radius = 0.0f;
  config.box_loss = IouLossKind::iou;
  if (name == "fcos2019") return config;
  if (name == "mmdet") {
    config.box_loss_plus_one = false;
    config.square_root_score = false;
    config.nms_threshold = 0.5f;
    return config;
  }
  throw Error(ExitCode::usage, fmt::format("FCOS variant '{}' is not known", name),
              "one of adelaidet, torchvision, fcos2019, mmdet");
}

}  // namespace tessera
