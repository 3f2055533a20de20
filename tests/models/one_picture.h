// One painted picture with two objects, the front one hiding part of the other, for tests in which a whole model learns
// it by heart; and the verdict on what it then finds, by the evaluator that judges real data sets.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/model_evaluation.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/models/tiny_model.h"

namespace tessera::testing_support {

// 64 x 64 pixels, classes 0 (behind) and 1 (in front).
inline std::vector<ObjectTarget> overlapping_pair() {
  ObjectTarget behind = ellipse({6, 8, 38, 44}, 0, 64, 64);
  const ObjectTarget front = ellipse({24, 26, 58, 60}, 1, 64, 64);
  for (size_t i = 0; i < behind.mask.pixels.size(); ++i) {
    if (front.mask.pixels[i]) behind.mask.pixels[i] = 0;
  }
  return {behind, front};
}

// Mask AP50 of all detections of one picture; classes 0, 1 and 2 exist.
inline double mask_ap50(const std::vector<Detection>& found, const std::vector<ObjectTarget>& truth, int height,
                        int width) {
  nlohmann::json annotations = nlohmann::json::array();
  for (const ObjectTarget& object : truth) {
    const Rle mask = rle_encode(object.mask);
    annotations.push_back({{"id", annotations.size() + 1},
                           {"image_id", 1},
                           {"category_id", object.label + 1},
                           {"area", rle_area(mask)},
                           {"iscrowd", 0},
                           {"bbox", {object.box.x1, object.box.y1, object.box.width(), object.box.height()}},
                           {"segmentation", {{"size", {height, width}}, {"counts", rle_to_string(mask)}}}});
  }
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "truth.json";
  std::ofstream(file) << nlohmann::json{
      {"images", {{{"id", 1}, {"height", height}, {"width", width}, {"file_name", "a.png"}}}},
      {"annotations", annotations},
      {"categories", {{{"id", 1}, {"name", "a"}}, {{"id", 2}, {"name", "b"}}, {{"id", 3}, {"name", "c"}}}}};
  CocoResults results;
  add_results(results, 1, found, {{1, "a"}, {2, "b"}, {3, "c"}}, height, width);
  return evaluate_coco(read_coco(file), results).metric("AP50").value();
}

}  // namespace tessera::testing_support
