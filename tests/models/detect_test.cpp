// Detections of the composition: order, borders, masks against the cosine definition, nothing found.
#include <gtest/gtest.h>

#include "tests/models/formula_weights.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr int kHeight = 96, kWidth = 128;

Tensor formula_images(Context& context, int64_t count) {
  std::vector<float> pixels(static_cast<size_t>(count * kHeight * kWidth * 3));
  const golden::Formula formula("images");
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = 4 * formula.noise(i);
  return Tensor::from_host<float>(context, {count, kHeight, kWidth, 3}, pixels);
}

std::vector<std::vector<Detection>> detect(Context& context, const GridMaskFcos& model, const Tensor& images,
                                           const std::vector<ImageGeometry>& geometry) {
  Tape tape(context, Tape::Mode::forward);
  return model.detect(tape, images, geometry);
}

TEST(Detect, BestFirstInsideThePictureAndWithMasks) {
  CpuContext context(1);
  TinyModel tiny(context);
  set_formula_weights(context, tiny.store);
  const std::vector<ImageGeometry> geometry = {{73, 101, 96, 128}, {180, 240, 90, 120}};
  const auto detections = detect(context, tiny.model, formula_images(context, 2), geometry);
  ASSERT_EQ(detections.size(), 2u);
  for (size_t image = 0; image < 2; ++image) {
    const std::vector<Detection>& found = detections[image];
    ASSERT_GT(found.size(), 5u);
    size_t with_pixels = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const Detection& detection = found[i];
      EXPECT_GT(detection.score, 0.0f);
      if (i > 0) {
        EXPECT_GE(found[i - 1].score, detection.score);
      }
      EXPECT_FALSE(detection.box.empty());
      EXPECT_GE(detection.box.x1, 0);
      EXPECT_GE(detection.box.y1, 0);
      EXPECT_LE(detection.box.x2, geometry[image].original_width);
      EXPECT_LE(detection.box.y2, geometry[image].original_height);
      EXPECT_TRUE(detection.has_mask);
      // The rectangle of the mask holds the pixels whose centres are in the box; it is 0 x 0 when there are none.
      if (detection.mask.width > 0) {
        ++with_pixels;
        EXPECT_EQ(detection.mask.x, static_cast<int>(std::ceil(detection.box.x1 - 0.5f)));
        EXPECT_EQ(detection.mask.x + detection.mask.width, static_cast<int>(std::ceil(detection.box.x2 - 0.5f)));
      }
      EXPECT_EQ(detection.mask.bits.size(),
                static_cast<size_t>(detection.mask.height) * static_cast<size_t>(detection.mask.row_bytes()));
    }
    EXPECT_GT(with_pixels, found.size() / 2);
  }
}

TEST(Detect, MasksAreTheLargerOfTwoCosines) {
  CpuContext context(1);
  for (const int k : {1, 2, 3}) {
    ModelConfig config = tiny_config();
    config.gridmask.k = k;
    TinyModel tiny(context, config);
    set_formula_weights(context, tiny.store);
    const Tensor images = formula_images(context, 1);
    const ImageGeometry geometry{
        .original_height = 90, .original_width = 120, .resized_height = 90, .resized_width = 120};
    const std::vector<Detection> found = detect(context, tiny.model, images, {geometry}).at(0);
    ASSERT_FALSE(found.empty());

    Tape tape(context, Tape::Mode::forward);
    const GridMaskFcos::Output output = tiny.model.run(tape, images);
    const std::vector<float> x = output.pixels.value.to_host<float>(context);
    const std::vector<float> o =
        tiny.model.object_branch().embeddings(tape, output.object_features).rows.value.to_host<float>(context);
    const PyramidGeometry& pyramid = output.features.pyramid.geometry;
    const std::vector<float> distances = output.fcos.distances.rows.value.to_host<float>(context);
    const int64_t h = output.pixels.extent(1), w = output.pixels.extent(2);
    const size_t dim = static_cast<size_t>(config.gridmask.dim);

    for (const Detection& detection : found) {
      // The cell that made this box: the one whose decoded, clipped box it is.
      int64_t row = -1;
      for (int64_t level = 0; level < 5; ++level) {
        const PyramidLevel& at = pyramid.level(level);
        for (int64_t cell = 0; cell < at.cells(); ++cell) {
          const float* d = &distances[static_cast<size_t>(4 * (at.row_begin + cell))];
          const float stride = static_cast<float>(at.stride);
          const float cx = (static_cast<float>(cell % at.width) + 0.5f) * stride;
          const float cy = (static_cast<float>(cell / at.width) + 0.5f) * stride;
          const auto close = [](float a, float b) { return std::abs(a - b) < 1e-3f; };
          if (close(std::max(cx - d[0] * stride, 0.0f), detection.box.x1) &&
              close(std::max(cy - d[1] * stride, 0.0f), detection.box.y1) &&
              close(std::min(cx + d[2] * stride, 120.0f), detection.box.x2) &&
              close(std::min(cy + d[3] * stride, 90.0f), detection.box.y2)) {
            row = at.row_begin + cell;
          }
        }
      }
      ASSERT_GE(row, 0);
      const Box& box = detection.box;
      for (int py = 0; py < detection.mask.height; ++py) {
        for (int px = 0; px < detection.mask.width; ++px) {
          const double cx = detection.mask.x + px + 0.5, cy = detection.mask.y + py + 0.5;
          const int ix = std::min(k - 1, static_cast<int>(std::floor(k * (cx - box.x1) / (box.x2 - box.x1))));
          const int iy = std::min(k - 1, static_cast<int>(std::floor(k * (cy - box.y1) / (box.y2 - box.y1))));
          const double u = std::clamp(cx / 4 - 0.5, 0.0, static_cast<double>(w - 1));
          const double v = std::clamp(cy / 4 - 0.5, 0.0, static_cast<double>(h - 1));
          const int64_t u0 = std::min(static_cast<int64_t>(u), w - 2), v0 = std::min(static_cast<int64_t>(v), h - 2);
          double dot[2] = {0, 0}, norm[2] = {0, 0}, pixel_norm = 0;
          for (size_t c = 0; c < dim; ++c) {
            const auto at = [&](int64_t yy, int64_t xx) { return x[static_cast<size_t>(yy * w + xx) * dim + c]; };
            const double fu = u - static_cast<double>(u0), fv = v - static_cast<double>(v0);
            const double value = (1 - fv) * ((1 - fu) * at(v0, u0) + fu * at(v0, u0 + 1)) +
                                 fv * ((1 - fu) * at(v0 + 1, u0) + fu * at(v0 + 1, u0 + 1));
            pixel_norm += value * value;
            for (size_t side = 0; side < 2; ++side) {
              const double weight =
                  o[static_cast<size_t>(row) * static_cast<size_t>(config.gridmask.object_channels()) +
                    (static_cast<size_t>(iy * k + ix) * 2 + side) * dim + c];
              dot[side] += value * weight;
              norm[side] += weight * weight;
            }
          }
          const double margin = (dot[0] / std::sqrt(norm[0]) - dot[1] / std::sqrt(norm[1])) / std::sqrt(pixel_norm);
          if (std::abs(margin) < 1e-4) continue;  // a tie within single precision
          ASSERT_EQ(detection.mask.at(py, px), margin > 0) << "pixel " << px << " " << py;
        }
      }
    }
  }
}

TEST(Detect, NothingFound) {
  CpuContext context(1);
  ModelConfig config = tiny_config();
  config.fcos.score_threshold = 1.0f;
  TinyModel tiny(context, config, false);
  const auto detections =
      detect(context, tiny.model, formula_images(context, 2), {{96, 128, 96, 128}, {96, 128, 96, 128}});
  ASSERT_EQ(detections.size(), 2u);
  EXPECT_TRUE(detections[0].empty());
  EXPECT_TRUE(detections[1].empty());
}

TEST(Detect, BatchesDoNotMix) {
  CpuContext context(1);
  TinyModel tiny(context);
  set_formula_weights(context, tiny.store);
  const Tensor images = formula_images(context, 2);
  const ImageGeometry geometry{96, 128, 96, 128};
  const auto together = detect(context, tiny.model, images, {geometry, geometry});
  for (int64_t image = 0; image < 2; ++image) {
    const std::vector<Detection> alone = detect(context, tiny.model, images.slice(image, image + 1), {geometry}).at(0);
    const std::vector<Detection>& batched = together[static_cast<size_t>(image)];
    ASSERT_EQ(alone.size(), batched.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(alone[i].label, batched[i].label);
      EXPECT_NEAR(alone[i].score, batched[i].score, 1e-5);
      EXPECT_NEAR(alone[i].box.x2, batched[i].box.x2, 1e-2);
    }
  }
}

TEST(Detect, EveryVariantAndTheDetectorAlone) {
  CpuContext context(1);
  for (const std::string& variant : fcos_variant_names()) {
    for (const char* system : {"gridmask_fcos", "fcos"}) {
      ModelConfig config = tiny_config();
      config.system = system;
      const FcosConfig sizes = config.fcos;
      config.fcos = fcos_variant(variant);
      config.fcos.tower_convs = sizes.tower_convs;
      config.fcos.norm_groups = sizes.norm_groups;
      TinyModel tiny(context, config);
      set_formula_weights(context, tiny.store);
      const auto detections = detect(context, tiny.model, formula_images(context, 1), {{96, 128, 96, 128}});
      EXPECT_FALSE(detections.at(0).empty()) << variant;
      for (const Detection& detection : detections.at(0)) EXPECT_EQ(detection.has_mask, config.has_masks());
      EXPECT_EQ(tiny.model.predicts_masks(), config.has_masks());
    }
  }
}

TEST(Detect, OnAPlanNothingIsComputed) {
  PlanContext context;
  TinyModel tiny(context, tiny_config(), false);
  Tape tape(context, Tape::Mode::forward);
  const auto detections = tiny.model.detect(tape, Tensor::empty(context, {1, 96, 128, 3}), {{96, 128, 96, 128}});
  EXPECT_EQ(detections.size(), 1u);
  EXPECT_GT(tape.costs().size(), 3u);
}

}  // namespace
}  // namespace tessera
