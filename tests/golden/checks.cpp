#include "tests/golden/checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "data/image/decode.h"
#include "data/image/resize.h"
#include "engine/ops/add.h"
#include "engine/training/sgd.h"
#include "models/registry.h"
#include "tests/golden/formula.h"
#include "tests/shared_data.h"

namespace tessera::golden {

namespace {

constexpr double kActivation = 1e-4, kLoss = 1e-5, kGradient = 1e-3, kTrainedLoss = 1e-4;
constexpr double kBox = 0.05, kScore = 1e-4, kMaskPixels = 5e-4;

void expect_close(const DigestDifference& difference, double tolerance, const std::string& name) {
  EXPECT_LE(difference.samples, tolerance) << name;
  EXPECT_LE(difference.sum, tolerance) << name;
}

bool same_detection(const Detection& ours, const float* box, float score, float label) {
  if (static_cast<float>(ours.label) != label || !(std::abs(ours.score - score) <= kScore)) return false;
  if (box == nullptr) return true;
  const float sides[4] = {ours.box.x1, ours.box.y1, ours.box.x2, ours.box.y2};
  for (int i = 0; i < 4; ++i) {
    if (!(std::abs(sides[i] - box[i]) <= kBox)) return false;
  }
  return true;
}

int64_t differing_pixels(const BitMask& ours, const uint8_t* theirs, int height, int width) {
  int64_t count = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const size_t pixel = static_cast<size_t>(y) * width + x;
      const bool inside = y >= ours.y && y < ours.y + ours.height && x >= ours.x && x < ours.x + ours.width;
      const bool set = inside && ours.at(y - ours.y, x - ours.x);
      count += set != ((theirs[pixel / 8] >> (pixel % 8) & 1) != 0);
    }
  }
  return count;
}

// As photo_case of cases.py prepares it: resized with Pillow's filter, a mean and a deviation, padded.
Tensor photograph(Context& context, const GoldenFile& file) {
  const ImageGeometry& geometry = file.geometry().at(0);
  const Image original = load_image(testing_support::shared_data() / "photos" / file.photo());
  EXPECT_EQ(original.height, geometry.original_height);
  EXPECT_EQ(original.width, geometry.original_width);
  const Image resized = resize_bilinear(original, geometry.resized_height, geometry.resized_width);
  std::vector<float> values(static_cast<size_t>(file.height()) * static_cast<size_t>(file.width()) * 3);
  for (int y = 0; y < resized.height; ++y) {
    for (int x = 0; x < 3 * resized.width; ++x) {
      const uint8_t level = resized.pixels[static_cast<size_t>(y) * static_cast<size_t>(3 * resized.width) + size_t(x)];
      values[static_cast<size_t>(y) * static_cast<size_t>(3 * file.width()) + size_t(x)] =
          (static_cast<float>(level) - 115.0f) / 58.0f;
    }
  }
  return Tensor::from_host<float>(context, {1, file.height(), file.width(), 3}, values);
}

// torchvision pads its pictures itself.
void clear_padding(Context& context, const Tensor& pictures, const std::vector<ImageGeometry>& geometry) {
  std::vector<float> values = pictures.to_host<float>(context);
  const int64_t height = pictures.extent(1), width = pictures.extent(2);
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t pixel = static_cast<int64_t>(i) / 3, x = pixel % width, y = pixel / width % height;
    const ImageGeometry& image = geometry.at(static_cast<size_t>(pixel / width / height));
    if (x >= image.resized_width || y >= image.resized_height) values[i] = 0;
  }
  pictures.copy_from_host(context, values.data());
}

}  // namespace

GoldenModel::GoldenModel(const std::filesystem::path& golden, int threads) : context_(threads), file_(golden) {
  const bool training = file_.has("losses");
  if (file_.has("detections/0/scores")) {
    system_ = make_system(file_.config(), store_);
  } else {
    backbone_.emplace(ParameterScope(store_, "backbone.bottom_up"), file_.config().backbone);
  }
  store_.allocate(context_, 1, training);
  set_formula_weights(context_, store_);
  pictures_ = file_.photo().empty() ? formula_pictures(context_, file_.pictures(), file_.height(), file_.width())
                                    : photograph(context_, file_);
  if (!training && system_ != nullptr) clear_padding(context_, pictures_, file_.geometry());
}

void GoldenModel::check_activations() {
  struct Reported {
    std::vector<float> values;
    bool rectified = false;
  };
  std::map<std::string, std::vector<Reported>> reported;
  Tape tape(context_);
  tape.observe_activations([&](const std::string& name, const Tensor& value, bool rectified) {
    reported[name].push_back({value.to_host<float>(context_), rectified});
  });
  if (system_ != nullptr) {
    system_->forward(tape, pictures_);
  } else {
    backbone_->forward(tape, pictures_);
  }
  std::set<std::string> left = file_.names("activation");
  EXPECT_GT(left.size(), 20u);
  for (const auto& [module, calls] : reported) {
    for (size_t call = 0; call < calls.size(); ++call) {
      const std::string name = calls.size() == 1 ? module : fmt::format("{}@{}", module, call);
      if (left.erase(name) == 0) {
        ADD_FAILURE() << name << " is not in the golden";
        continue;
      }
      expect_close(file_.compare("activation", name, calls[call].values, calls[call].rectified), kActivation, name);
    }
  }
  for (const std::string& name : left) ADD_FAILURE() << name << " is not reported";
}

void GoldenModel::check_training() {
  const TrainingFacts& facts = file_.training();
  Sgd optimizer(context_, store_,
                {.momentum = facts.momentum, .weight_decay = facts.weight_decay, .clip_norm = facts.clip_norm});
  TrainingBatch batch{pictures_, file_.scene(), 0, 0};
  const std::vector<float> expected = file_.read("losses"), norms = file_.read("gradient_norms");
  const size_t parts = expected.size() / static_cast<size_t>(facts.steps);
  for (int step = 0; step < facts.steps; ++step) {
    store_.zero_gradients(context_);
    Tape tape(context_);
    const std::vector<NamedLoss> losses = system_->losses(tape, batch);
    ASSERT_EQ(losses.size(), parts);
    Variable total = losses[0].value;
    for (size_t i = 0; i < parts; ++i) {
      const double wanted = expected[static_cast<size_t>(step) * parts + i];
      const double tolerance = (step == 0 ? kLoss : kTrainedLoss) * std::max(1.0, wanted);
      EXPECT_NEAR(losses[i].value.value.to_host<float>(context_).at(0), wanted, tolerance)
          << losses[i].name << " of step " << step;
      if (i > 0) total = add(tape, total, losses[i].value);
    }
    tape.backward(total);
    if (step == 0) {
      std::set<std::string> left = file_.names("gradient");
      for (const Parameter& parameter : store_.parameters()) {
        if (!parameter.trainable) continue;
        if (left.erase(parameter.name) == 0) {
          ADD_FAILURE() << parameter.name << " is not in the golden";
          continue;
        }
        expect_close(file_.compare("gradient", parameter.name, parameter.gradient.to_host<float>(context_)), kGradient,
                     "gradient of " + parameter.name);
      }
      for (const std::string& name : left) ADD_FAILURE() << name << " has no gradient";
    }
    const double norm = optimizer.step(context_, step, facts.learning_rate);
    const double wanted = norms[static_cast<size_t>(step)];
    EXPECT_NEAR(norm, wanted, kGradient * wanted) << "gradient norm of step " << step;
  }
  for (const std::string& name : file_.names("trained")) {
    const Parameter* parameter = store_.find(name);
    ASSERT_NE(parameter, nullptr) << name;
    expect_close(file_.compare("trained", name, parameter->value.to_host<float>(context_)), kTrainedLoss,
                 name + " after training");
  }
}

void GoldenModel::check_detections() {
  Tape tape(context_, Tape::Mode::forward);
  const std::vector<std::vector<Detection>> ours = system_->detect(tape, pictures_, file_.geometry());
  ASSERT_EQ(static_cast<int64_t>(ours.size()), file_.pictures());
  for (size_t i = 0; i < ours.size(); ++i) {
    const ImageGeometry& geometry = file_.geometry()[i];
    golden::check_detections(file_, fmt::format("detections/{}/", i), ours[i], geometry.original_height,
                             geometry.original_width);
  }
}

void check_detections(const GoldenFile& file, const std::string& prefix, const std::vector<Detection>& ours, int height,
                      int width) {
  const std::vector<float> scores = file.read(prefix + "scores"), labels = file.read(prefix + "labels");
  std::vector<float> boxes;
  if (file.has(prefix + "boxes")) boxes = file.read(prefix + "boxes");
  const size_t mask_pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  const size_t mask_bytes = (mask_pixels + 7) / 8;
  const std::vector<uint8_t> masks = file.masks(prefix, mask_pixels);
  ASSERT_EQ(ours.size(), scores.size()) << prefix;
  ASSERT_TRUE(masks.empty() || masks.size() == scores.size() * mask_bytes) << prefix;
  EXPECT_GE(ours.size(), 5u) << prefix;

  std::vector<bool> used(ours.size(), false);
  int64_t differing = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const float* box = boxes.empty() ? nullptr : boxes.data() + 4 * i;
    size_t found = ours.size();
    // In the same place, or in another one of the same score.
    for (size_t j = 0; j < ours.size() && found == ours.size(); ++j) {
      const bool tied = std::abs(scores[i] - scores[j]) <= kScore;
      if (!used[j] && tied && same_detection(ours[j], box, scores[i], labels[i])) found = j;
    }
    if (found == ours.size()) {
      ADD_FAILURE() << prefix << i << ": score " << scores[i] << ", class " << labels[i]
                    << "; ours in its place: score " << ours[i].score << ", class " << ours[i].label;
      continue;
    }
    used[found] = true;
    if (!masks.empty()) differing += differing_pixels(ours[found].mask, masks.data() + i * mask_bytes, height, width);
  }
  const auto pixels = static_cast<double>(scores.size()) * height * width;
  EXPECT_LE(static_cast<double>(differing), kMaskPixels * pixels) << prefix;
}

}  // namespace tessera::golden
