// Generated scenes: overlapping, occluding, textured shapes of five classes on a textured ground, with the mask of the
// visible part of each. Texture and colour say nothing about the class; only the outline does. A scene is a function of
// (seed, index): the same on every machine and for any number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/annotations/annotations.h"
#include "data/image/image.h"

namespace tessera {

inline constexpr const char* scene_class_names[] = {"disc", "square", "triangle", "star", "cross"};
inline constexpr int scene_class_count = 5;

struct SceneOptions {
  int size = 128;              // pixels, height and width, at least 16
  int min_objects = 3;         // always reached
  int max_objects = 8;         // tried; one that would hide an earlier object is left out
  float least_visible = 0.3f;  // share of each object that later ones must leave visible
  float noise = 8;             // standard deviation, in levels
};

struct SceneObject {
  int label = 0;      // index into scene_class_names
  Bitmap mask;        // visible part, of the whole scene; never empty
  int area = 0;       // pixels of it
  int full_area = 0;  // pixels before later objects covered some
  Box box;            // tight
};

struct Scene {
  Image image;
  std::vector<SceneObject> objects;  // from back to front
};

Scene make_scene(uint64_t seed, uint64_t index, const SceneOptions& options = {});

struct SceneSet {
  std::filesystem::path annotations;  // FOLDER/instances_NAME.json, COCO format, RLE masks
  std::filesystem::path images;       // FOLDER/images/NAME_00000.png ...
  int64_t image_count = 0;
  int64_t object_count = 0;
};

// Writes scenes first .. first + count - 1 of `seed`. Image ids are 1 + index within the set; file names are relative
// to `images`. The annotation file appears last, so that a set with one is complete. Throws Error(data) on write
// failures. on_written: called in the calling thread with the number of scenes written so far, now and then.
SceneSet write_scene_set(const std::filesystem::path& folder, const std::string& name, int64_t count, uint64_t seed,
                         uint64_t first = 0, const SceneOptions& options = {}, int threads = 1,
                         const std::function<void(int64_t)>& on_written = {});

}  // namespace tessera
