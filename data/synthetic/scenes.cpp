#include "data/synthetic/scenes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {
namespace {

constexpr float pi = std::numbers::pi_v<float>;

struct Placement {
  int label = 0;
  float center_x = 0, center_y = 0;
  float radius = 0;
  float cosine = 1, sine = 0;
};

// Whether the point (x, y) lies in the shape; u and v are its coordinates in the shape's own axes.
bool contains(const Placement& shape, float x, float y) {
  const float dx = x - shape.center_x, dy = y - shape.center_y, r = shape.radius;
  const float u = dx * shape.cosine + dy * shape.sine, v = dy * shape.cosine - dx * shape.sine;
  const float across = std::abs(u), along = std::abs(v);
  switch (shape.label) {
    case 0:
      return u * u + v * v <= 0.81f * r * r;
    case 1:
      return std::max(across, along) <= 0.8f * r;
    case 2:
      return v <= 0.6f * r && across <= 0.708f * (v + r);
    case 3:
      return std::hypot(u, v) <= r * (0.66f + 0.34f * std::cos(5 * std::atan2(v, u)));
    default:
      return std::min(across, along) <= 0.3f * r && std::max(across, along) <= r;
  }
}

// A two-colour pattern over the plane: flat, stripes, checker or blotches.
class Texture {
 public:
  Texture(Rng& rng, int size) {
    for (auto* color : {&first_, &second_})
      for (float& channel : *color) channel = float(rng.below(256));
    kind_ = int(rng.below(4));
    period_ = rng.uniform(4, 10);
    const float angle = rng.uniform(0, pi);
    cosine_ = std::cos(angle), sine_ = std::sin(angle);
    if (kind_ != 3) return;
    side_ = size / blotch + 2;
    lattice_.resize(size_t(side_) * side_);
    for (float& value : lattice_) value = rng.uniform();
  }

  std::array<float, 3> at(int y, int x) const {
    const float share = 0.5f * pattern(y, x);
    std::array<float, 3> color;
    for (int c = 0; c < 3; ++c) color[c] = first_[c] + (second_[c] - first_[c]) * share;
    return color;
  }

 private:
  static constexpr int blotch = 8;  // pixels between lattice points

  float pattern(int y, int x) const {
    const auto is_second_half = [&](float t) { return t / period_ - std::floor(t / period_) < 0.5f; };
    const float u = x * cosine_ + y * sine_, v = y * cosine_ - x * sine_;
    if (kind_ == 0) return 0.15f;
    if (kind_ == 1) return is_second_half(u);
    if (kind_ == 2) return is_second_half(u) == is_second_half(v);
    const int row = y / blotch, column = x / blotch;
    const float fy = float(y % blotch) / blotch, fx = float(x % blotch) / blotch;
    const float* corner = &lattice_[size_t(row) * side_ + column];
    const float top = corner[0] + (corner[1] - corner[0]) * fx;
    const float bottom = corner[side_] + (corner[side_ + 1] - corner[side_]) * fx;
    return top + (bottom - top) * fy;
  }

  std::array<float, 3> first_{}, second_{};
  int kind_ = 0;
  float period_ = 0, cosine_ = 1, sine_ = 0;
  int side_ = 0;
  std::vector<float> lattice_;  // [side_ * side_], kind blotches only
};

// Nearly normal, in integers so that every machine agrees: the sum of eight bytes, whose standard deviation is
// sqrt(8 * (256^2 - 1) / 12) = 209.02.
float noise_value(Rng& rng) {
  int sum = 0;
  for (int word = 0; word < 2; ++word) {
    const uint32_t bits = rng.bits();
    sum += int((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
  }
  return float(sum - 1020) / 209.02f;
}

// Pixels that no object owns.
constexpr int ground = -1;

class Painter {
 public:
  Painter(Rng& rng, const SceneOptions& options)
      : rng_(rng),
        options_(options),
        owner_(size_t(options.size) * options.size, ground),
        color_(size_t(options.size) * options.size) {
    const Texture texture(rng_, options_.size);
    for (int y = 0; y < options_.size; ++y)
      for (int x = 0; x < options_.size; ++x)
        for (int c = 0; c < 3; ++c) color_[index(y, x)][c] = 0.6f * texture.at(y, x)[c];
  }

  // Draws one more object unless it would hide too much of an earlier one. The random numbers are used either way.
  void try_object() {
    Placement shape;
    const float size = float(options_.size);
    shape.radius = size * rng_.uniform(0.09f, 0.25f);
    const float margin = 0.4f * shape.radius;  // centres may come close to the border, so that some objects are cut
    shape.center_x = rng_.uniform(margin, size - margin);
    shape.center_y = rng_.uniform(margin, size - margin);
    shape.label = int(rng_.below(scene_class_count));
    const float angle = rng_.uniform(0, 2 * pi);
    shape.cosine = std::cos(angle), shape.sine = std::sin(angle);
    const Texture texture(rng_, options_.size);

    std::vector<size_t> covered;
    std::vector<int> left;
    for (const SceneObject& object : objects_) left.push_back(object.area);
    const int reach = int(std::ceil(shape.radius * 1.3f));  // the triangle's corners lie at 1.28 r
    const auto from = [&](float center) { return std::max(0, int(center) - reach); };
    const auto to = [&](float center) { return std::min(options_.size, int(center) + reach + 2); };
    for (int y = from(shape.center_y); y < to(shape.center_y); ++y)
      for (int x = from(shape.center_x); x < to(shape.center_x); ++x)
        if (contains(shape, float(x), float(y))) {
          covered.push_back(index(y, x));
          if (owner_[covered.back()] != ground) --left[owner_[covered.back()]];
        }
    if (covered.empty()) return;
    for (size_t i = 0; i < left.size(); ++i)
      if (left[i] < options_.least_visible * objects_[i].full_area || left[i] == 0) return;

    for (size_t i = 0; i < left.size(); ++i) objects_[i].area = left[i];
    SceneObject object;
    object.label = shape.label;
    object.area = object.full_area = int(covered.size());
    for (size_t pixel : covered) {
      owner_[pixel] = int(objects_.size());
      color_[pixel] = texture.at(int(pixel / options_.size), int(pixel % options_.size));
    }
    objects_.push_back(std::move(object));
  }

  size_t object_count() const { return objects_.size(); }

  Scene finish() {
    const int size = options_.size;
    Scene scene;
    scene.image = Image(size, size);
    for (size_t i = 0; i < color_.size(); ++i)
      for (int c = 0; c < 3; ++c)
        scene.image.pixels[i * 3 + c] =
            uint8_t(std::clamp(color_[i][c] + options_.noise * noise_value(rng_), 0.f, 255.f));
    for (SceneObject& object : objects_) {
      object.mask = {size, size, std::vector<uint8_t>(owner_.size())};
      object.box = {float(size), float(size), 0, 0};
    }
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        if (owner_[index(y, x)] == ground) continue;
        SceneObject& object = objects_[owner_[index(y, x)]];
        object.mask.pixels[index(y, x)] = 1;
        Box& box = object.box;
        box = {std::min(box.x1, float(x)), std::min(box.y1, float(y)), std::max(box.x2, x + 1.f),
               std::max(box.y2, y + 1.f)};
      }
    scene.objects = std::move(objects_);
    return scene;
  }

 private:
  size_t index(int y, int x) const { return size_t(y) * options_.size + x; }

  Rng& rng_;
  const SceneOptions& options_;
  std::vector<int> owner_;                   // [size * size]: index of the visible object, or ground
  std::vector<std::array<float, 3>> color_;  // [size * size], without noise
  std::vector<SceneObject> objects_;
};

}  // namespace

Scene make_scene(uint64_t seed, uint64_t index, const SceneOptions& options) {
  if (options.size < 16 || options.min_objects < 0 || options.max_objects < options.min_objects)
    throw Error(ExitCode::usage,
                fmt::format("scenes of {} pixels with {} to {} objects", options.size, options.min_objects,
                            options.max_objects),
                "use a size of at least 16 and min_objects <= max_objects");
  Rng rng(seed, RandomPurpose::scenes, 0, index);
  Painter painter(rng, options);
  const int planned = options.min_objects + int(rng.below(uint32_t(options.max_objects - options.min_objects + 1)));
  constexpr int patience = 1000;  // small pictures with many objects may have no room left
  for (int tries = 0; tries < planned || (int(painter.object_count()) < options.min_objects && tries < patience);
       ++tries)
    painter.try_object();
  return painter.finish();
}

}  // namespace tessera
