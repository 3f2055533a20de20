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

std::vector<uint8_t> GoldenFile::bytes(const std::string& name) const {
  const SafetensorsEntry* entry = file_.find(name);
  TESSERA_CHECK(entry != nullptr, "{}: no tensor {}", file_.path().string(), name);
  std::vector<uint8_t> result(entry->bytes());
  file_.read(*entry, result.data());
  return result;
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
