#include "data/synthetic/scenes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "data/image/decode.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

TEST(Scenes, AreAFunctionOfSeedAndIndex) {
  const Scene a = make_scene(7, 3), b = make_scene(7, 3);
  EXPECT_EQ(a.image, b.image);
  ASSERT_EQ(a.objects.size(), b.objects.size());
  for (size_t i = 0; i < a.objects.size(); ++i) EXPECT_EQ(a.objects[i].mask.pixels, b.objects[i].mask.pixels);
  EXPECT_NE(make_scene(7, 4).image, a.image);
  EXPECT_NE(make_scene(8, 3).image, a.image);
}

TEST(Scenes, ObjectsAreWhatTheySay) {
  std::set<int> labels;
  int occluded = 0, cut_by_border = 0;
  double objects = 0;
  constexpr int scenes = 60;
  for (int index = 0; index < scenes; ++index) {
    const Scene scene = make_scene(1, index);
    EXPECT_EQ(scene.image.height, 128);
    EXPECT_GE(scene.objects.size(), 3u);
    EXPECT_LE(scene.objects.size(), 8u);
    objects += double(scene.objects.size());
    std::vector<int> owners(128 * 128, 0);
    for (const SceneObject& object : scene.objects) {
      labels.insert(object.label);
      int area = 0;
      Box tight{1e9f, 1e9f, -1, -1};
      for (int y = 0; y < 128; ++y)
        for (int x = 0; x < 128; ++x)
          if (object.mask.at(y, x)) {
            ++area;
            ++owners[y * 128 + x];
            tight = {std::min(tight.x1, float(x)), std::min(tight.y1, float(y)), std::max(tight.x2, x + 1.f),
                     std::max(tight.y2, y + 1.f)};
          }
      EXPECT_GT(area, 0);
      EXPECT_EQ(area, object.area);
      EXPECT_GE(area, 0.3f * object.full_area);
      EXPECT_LE(area, object.full_area);
      EXPECT_EQ(tight.x1, object.box.x1);
      EXPECT_EQ(tight.y1, object.box.y1);
      EXPECT_EQ(tight.x2, object.box.x2);
      EXPECT_EQ(tight.y2, object.box.y2);
      occluded += area < object.full_area;
      cut_by_border += tight.x1 == 0 || tight.y1 == 0 || tight.x2 == 128 || tight.y2 == 128;
    }
    EXPECT_EQ(*std::max_element(owners.begin(), owners.end()), 1) << "visible parts overlap in scene " << index;
  }
  EXPECT_EQ(labels.size(), 5u);
  EXPECT_GT(occluded, scenes);  // more than one object a scene lies behind another
  EXPECT_GT(cut_by_border, 10);
  EXPECT_NEAR(objects / scenes, 5.3, 0.6);
}

// Areas of the outlines in units of r^2, from their formulas: disc 0.81 pi, square 1.6^2, triangle 0.708 * 1.6^2,
// cross 4 * 0.6 - 0.36, star pi * (0.66^2 + 0.34^2 / 2).
TEST(Scenes, OutlinesHaveTheirAreas) {
  const double unit_area[] = {2.5447, 2.56, 1.8125, 1.5501, 2.04};
  std::vector<double> least(5, 1e9), most(5, 0);
  SceneOptions options{.size = 128, .min_objects = 1, .max_objects = 1};
  for (int index = 0; index < 400; ++index) {
    const SceneObject object = make_scene(5, index, options).objects.front();
    if (object.box.x1 == 0 || object.box.y1 == 0 || object.box.x2 == 128 || object.box.y2 == 128) continue;
    least[object.label] = std::min(least[object.label], double(object.area));
    most[object.label] = std::max(most[object.label], double(object.area));
  }
  for (int label = 0; label < 5; ++label) {  // r is uniform in [0.09, 0.25) of the size
    EXPECT_GE(least[label], 0.97 * unit_area[label] * std::pow(0.09 * 128, 2)) << label;
    EXPECT_LE(most[label], 1.03 * unit_area[label] * std::pow(0.25 * 128, 2)) << label;
    EXPECT_GE(most[label], 0.6 * unit_area[label] * std::pow(0.25 * 128, 2)) << label;
  }
}

TEST(Scenes, NoiseHasItsDeviation) {
  SceneOptions quiet, loud;
  quiet.noise = 0;
  loud.noise = 8;
  const Image a = make_scene(2, 9, quiet).image, b = make_scene(2, 9, loud).image;
  double sum = 0, squares = 0;
  int count = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    if (a.pixels[i] < 40 || a.pixels[i] > 215) continue;  // not clipped
    const double difference = int(b.pixels[i]) - int(a.pixels[i]);
    sum += difference;
    squares += difference * difference;
    ++count;
  }
  ASSERT_GT(count, 10000);
  EXPECT_NEAR(sum / count, 0, 0.3);
  EXPECT_NEAR(std::sqrt(squares / count), 8, 0.3);
}

TEST(Scenes, WrittenAsCocoForAnyNumberOfThreads) {
  const auto folder = std::filesystem::temp_directory_path() / "tessera_scenes_test";
  std::filesystem::remove_all(folder);
  const SceneOptions options{.size = 64};
  const SceneSet set = write_scene_set(folder / "one", "val", 5, 11, 100, options, 1);
  const SceneSet again = write_scene_set(folder / "three", "val", 5, 11, 100, options, 3);
  EXPECT_EQ(read_bytes(set.annotations), read_bytes(again.annotations));
  const nlohmann::json json = nlohmann::json::parse(read_bytes(set.annotations));
  ASSERT_EQ(json["images"].size(), 5u);
  EXPECT_EQ(json["categories"].size(), 5u);
  EXPECT_EQ(json["categories"][4]["name"], "cross");
  EXPECT_EQ(json["annotations"].size(), size_t(set.object_count));
  size_t next = 0;
  for (int i = 0; i < 5; ++i) {
    const Scene scene = make_scene(11, 100 + i, options);
    const std::string file = json["images"][i]["file_name"];
    EXPECT_EQ(load_image(set.images / file), scene.image);
    EXPECT_EQ(read_bytes(set.images / file), read_bytes(again.images / file));
    for (const SceneObject& object : scene.objects) {
      const auto& annotation = json["annotations"][next++];
      EXPECT_EQ(annotation["id"], next);
      EXPECT_EQ(annotation["image_id"], i + 1);
      EXPECT_EQ(annotation["category_id"], object.label + 1);
      EXPECT_EQ(annotation["area"], object.area);
      EXPECT_EQ(annotation["bbox"][2], object.box.width());
      std::vector<uint8_t> decoded(64 * 64);
      size_t at = 0;
      bool is_object = false;
      for (const size_t run : annotation["segmentation"]["counts"]) {
        for (size_t k = 0; k < run; ++k, ++at) decoded[at % 64 * 64 + at / 64] = is_object;
        is_object = !is_object;
      }
      EXPECT_EQ(at, decoded.size());
      EXPECT_EQ(decoded, object.mask.pixels);
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Scenes, BadOptionsAndFolders) {
  EXPECT_THROW(make_scene(1, 1, {.size = 8}), Error);
  EXPECT_THROW(make_scene(1, 1, {.min_objects = 5, .max_objects = 4}), Error);
  EXPECT_THROW(write_scene_set("/proc/no_such_folder", "x", 1, 1), Error);
  EXPECT_EQ(make_scene(1, 1, {.size = 16, .min_objects = 0, .max_objects = 0}).objects.size(), 0u);
}

}  // namespace
}  // namespace tessera
