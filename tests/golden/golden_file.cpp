#include "tests/golden/golden_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/model_file.h"
#include "engine/core/error.h"
#include "tests/golden/formula.h"

namespace tessera::golden {

namespace {

constexpr size_t kHead = 4;  // magnitude, weighted sum, weighted sum after a ReLU, greatest value

}  // namespace

GoldenFile::GoldenFile(const std::filesystem::path& path)
    : file_(path.has_extension() ? path : "tests/golden/data" / std::filesystem::path(path.string() + ".safetensors")) {
  const auto facts = nlohmann::json::parse(file_.metadata().at("facts"));
  pictures_ = facts.value("pictures", int64_t{1});
  height_ = facts.value("height", 0);
  width_ = facts.value("width", 0);
  photo_ = facts.value("photo", "");
  if (facts.contains("training")) {
    const auto& training = facts["training"];
    training_ = {training.at("steps"), training.at("learning_rate"), training.at("momentum"),
                 training.at("weight_decay"), training.at("clip_norm")};
  }
  for (const auto& sizes : facts.value("geometry", nlohmann::json::array())) {
    geometry_.push_back({sizes.at(0), sizes.at(1), sizes.at(2), sizes.at(3)});
  }
}

ModelConfig GoldenFile::config() const { return read_model_config(file_.path()); }

std::vector<ImageTargets> GoldenFile::scene() const {
  std::vector<ImageTargets> targets(static_cast<size_t>(pictures_));
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = {static_cast<int64_t>(i), height_, width_, {}};
  const std::vector<float> objects = read("objects");
  for (size_t i = 0; i < objects.size(); i += 6) {
    const Box box{objects[i + 2], objects[i + 3], objects[i + 4], objects[i + 5]};
    targets.at(static_cast<size_t>(objects[i]))
        .objects.push_back({box, static_cast<int>(objects[i + 1]), formula_ellipse(box, height_, width_)});
  }
  return targets;
}

std::vector<float> GoldenFile::read(const std::string& name) const {
  const SafetensorsEntry* entry = file_.find(name);
  TESSERA_CHECK(entry != nullptr, "{}: no tensor {}", file_.path().string(), name);
  return file_.read_f32(*entry);
}

std::vector<int64_t> GoldenFile::shape(const std::string& name) const { return file_.find(name)->shape; }

std::vector<uint8_t> GoldenFile::masks(const std::string& prefix, size_t pixels) const {
  const SafetensorsEntry *bits = file_.find(prefix + "masks"), *runs = file_.find(prefix + "mask_runs");
  if (bits == nullptr && runs == nullptr) return {};
  std::vector<uint8_t> stored((bits != nullptr ? bits : runs)->bytes());
  file_.read(bits != nullptr ? *bits : *runs, stored.data());
  if (bits != nullptr) return stored;
  // record.py's pack_runs: all masks behind one another as one row.
  std::vector<uint8_t> masks;
  const size_t mask_bytes = (pixels + 7) / 8;
  size_t at = 0, length = 0;
  int shift = 0;
  bool value = false;
  for (const uint8_t byte : stored) {
    length |= static_cast<size_t>(byte & 127) << shift;
    shift += 7;
    if ((byte & 128) != 0) continue;
    for (const size_t end = at + length; at < end; ++at) {
      if (at % pixels == 0) masks.resize(masks.size() + mask_bytes);
      uint8_t& packed = masks[at / pixels * mask_bytes + at % pixels / 8];
      packed = static_cast<uint8_t>(packed | value << (at % pixels % 8));
    }
    value = !value;
    length = 0;
    shift = 0;
  }
  TESSERA_CHECK(at % pixels == 0, "{}: masks of {} pixels in runs of {}", file_.path().string(), pixels, at);
  return masks;
}

std::set<std::string> GoldenFile::names(const std::string& kind) const {
  std::set<std::string> names;
  for (const SafetensorsEntry& entry : file_.entries()) {
    if (entry.name.starts_with(kind + "/")) names.insert(entry.name.substr(kind.size() + 1));
  }
  return names;
}

DigestDifference GoldenFile::compare(const std::string& kind, const std::string& name, const std::vector<float>& values,
                                     bool rectified) const {
  const std::vector<float> digest = read(kind + "/" + name);
  const size_t samples = digest.size() - kHead;
  TESSERA_CHECK(samples == std::min<size_t>(values.size(), 64), "{}: {} elements, {} samples", name, values.size(),
                samples);
  // A tensor that a ReLU leaves all zero has no scale of its own.
  const double scale = std::max(static_cast<double>(rectified && digest[3] > 0 ? digest[3] : digest[0]), 1e-12);
  DigestDifference difference;
  const Formula formula(name), places("sample " + name);
  for (size_t i = 0; i < samples; ++i) {
    const size_t at = values.size() <= 64 ? i : places.bits(i) % values.size();
    const float expected = rectified ? std::max(digest[kHead + i], 0.0f) : digest[kHead + i];
    const double distance = std::abs(static_cast<double>(values[at]) - expected);
    if (!(distance <= difference.samples)) difference.samples = distance;  // NaN must stay
  }
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += static_cast<double>(values[i]) * formula.noise(i);
  difference.sum = std::abs(sum - digest[rectified ? 2 : 1]) / std::sqrt(static_cast<double>(values.size())) / scale;
  difference.samples /= scale;
  return difference;
}

}  // namespace tessera::golden
