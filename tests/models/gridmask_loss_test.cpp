// What models/gridmask/loss adds to the op: sampling of masks, choice of positives, jitter, change of stride.
#include "models/gridmask/loss.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/ops/resize.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using testing_support::ellipse;
using testing_support::scalar;

TEST(DrawPositives, AllWhenTheyFit) {
  EXPECT_EQ(draw_positives(4, 4, 1, 1), (std::vector<size_t>{0, 1, 2, 3}));
  EXPECT_TRUE(draw_positives(0, 4, 1, 1).empty());
}

TEST(DrawPositives, SubsetIsAFunctionOfSeedAndIteration) {
  const std::vector<size_t> chosen = draw_positives(1000, 50, 7, 3);
  EXPECT_EQ(chosen, draw_positives(1000, 50, 7, 3));
  EXPECT_NE(chosen, draw_positives(1000, 50, 7, 4));
  EXPECT_NE(chosen, draw_positives(1000, 50, 8, 3));
  EXPECT_EQ(std::set<size_t>(chosen.begin(), chosen.end()).size(), 50u);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_LT(chosen.back(), 1000u);
}

TEST(DrawPositives, EveryIndexIsEquallyLikely) {
  std::vector<int> count(10, 0);
  for (uint64_t iteration = 0; iteration < 5000; ++iteration) {
    for (const size_t index : draw_positives(10, 3, 1, iteration)) ++count[index];
  }
  for (const int drawn : count) EXPECT_NEAR(drawn, 1500, 200);  // six standard deviations
}

// Picture 0 has objects 0 and 2, so 5 / 2 = 2 cells each; picture 1 has six, so one each.
TEST(BestPositives, AreTheBestOfEveryObject) {
  const std::vector<MaskCandidate> candidates = {{0, 0, 0.2f}, {0, 2, 0.1f}, {0, 0, 0.5f}, {0, 0, 0.4f}, {0, 2, 0.9f},
                                                 {0, 0, 0.4f}, {1, 0, 0.3f}, {1, 1, 0.3f}, {1, 2, 0.3f}, {1, 3, 0.3f},
                                                 {1, 4, 0.3f}, {1, 5, 0.3f}, {1, 5, 0.2f}, {1, 4, 0.6f}, {1, 0, 0.3f}};
  EXPECT_EQ(best_positives(candidates, 5), (std::vector<size_t>{1, 2, 3, 4, 6, 7, 8, 9, 11, 13}));
  EXPECT_EQ(best_positives(candidates, 1), (std::vector<size_t>{2, 4, 6, 7, 8, 9, 11, 13}));
  EXPECT_EQ(best_positives(candidates, 1000).size(), candidates.size());
  EXPECT_TRUE(best_positives({}, 5).empty());
}

TEST(JitterBox, MovesCornersByAtMostATenth) {
  const Box box{10, 20, 50, 120};
  double moved = 0;
  for (uint64_t sample = 0; sample < 200; ++sample) {
    const Box jittered = jitter_box(box, 1, 2, sample);
    EXPECT_LE(std::abs(jittered.x1 - box.x1), 4.001f);
    EXPECT_LE(std::abs(jittered.x2 - box.x2), 4.001f);
    EXPECT_LE(std::abs(jittered.y1 - box.y1), 10.001f);
    EXPECT_LE(std::abs(jittered.y2 - box.y2), 10.001f);
    moved += std::abs(jittered.y2 - box.y2);
  }
  EXPECT_NEAR(moved / 200, 5.0, 1.0);
  EXPECT_EQ(jitter_box(box, 1, 2, 3).x1, jitter_box(box, 1, 2, 3).x1);
  EXPECT_NE(jitter_box(box, 1, 2, 3).x1, jitter_box(box, 1, 2, 4).x1);
}

class GridMaskLoss : public ::testing::Test {
 protected:
  Tensor random(const Shape& shape, uint64_t sample) {
    Rng rng(1, RandomPurpose::test, 0, sample);
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    for (float& value : values) value = rng.normal();
    return Tensor::from_host<float>(context_, shape, values);
  }
  static bool inside(const Bitmap& mask, int64_t x, int64_t y) {
    return x < mask.width && y < mask.height && mask.at(static_cast<int>(y), static_cast<int>(x));
  }
  static double covered(const Bitmap& mask, int64_t u, int64_t v, int64_t stride) {
    double sum = 0;
    for (int64_t i = 0; i < stride * stride; ++i) sum += inside(mask, u * stride + i % stride, v * stride + i / stride);
    return std::round(255 * sum / static_cast<double>(stride * stride)) / 255;
  }
  // An independent sum over pixels in double, straight from eq. (4) to (9).
  double by_definition(const Tensor& pixels, const Tensor& objects, const std::vector<GridSample>& samples,
                       const std::vector<ImageTargets>& images, const GridMaskConfig& config) {
    const std::vector<float> x = pixels.to_host<float>(context_), o = objects.to_host<float>(context_);
    const int64_t height = pixels.extent(1), width = pixels.extent(2), dim = config.dim, stride = config.train_stride;
    const int k = config.k;
    double total = 0;
    for (size_t j = 0; j < samples.size(); ++j) {
      const Box& box = samples[j].box;
      const Bitmap& mask =
          images[static_cast<size_t>(samples[j].image)].objects[static_cast<size_t>(samples[j].object)].mask;
      std::vector<double> sum(static_cast<size_t>(k * k), 0), count(static_cast<size_t>(k * k), 0);
      for (int64_t v = 0; v < height; ++v) {
        for (int64_t u = 0; u < width; ++u) {
          const float px = (static_cast<float>(u) + 0.5f) * static_cast<float>(stride);
          const float py = (static_cast<float>(v) + 0.5f) * static_cast<float>(stride);
          if (!(px >= box.x1 && px < box.x2 && py >= box.y1 && py < box.y2)) continue;
          const int ix = std::min(k - 1, static_cast<int>(static_cast<float>(k) * (px - box.x1) / box.width()));
          const int iy = std::min(k - 1, static_cast<int>(static_cast<float>(k) * (py - box.y1) / box.height()));
          const size_t cell = static_cast<size_t>(iy * k + ix);
          const double label = config.train_mask == TrainMask::coverage
                                   ? covered(mask, u, v, stride)
                                   : inside(mask, u * stride + stride / 2, v * stride + stride / 2);
          for (int side = 0; side < 2; ++side) {
            double dot = 0, xx = 0, oo = 0;
            for (int64_t c = 0; c < dim; ++c) {
              const double a = x[static_cast<size_t>(((samples[j].image * height + v) * width + u) * dim + c)];
              const double b = o[(j * static_cast<size_t>(k * k) + cell) * 2 * static_cast<size_t>(dim) +
                                 static_cast<size_t>(side * dim + c)];
              dot += a * b;
              xx += a * a;
              oo += b * b;
            }
            const double z = config.alpha * dot / std::max(std::sqrt(xx * oo), 1e-8);
            const double target = side == 0 ? label : 1 - label;
            sum[cell] += std::log1p(std::exp(z)) - target * z;
          }
          count[cell] += 1;
        }
      }
      double cells = 0, object = 0;
      for (size_t i = 0; i < sum.size(); ++i) {
        if (count[i] == 0) continue;
        object += sum[i] / count[i];
        ++cells;
      }
      if (config.empty_cell_norm == EmptyCellNorm::literal) cells = k * k;
      if (cells > 0) total += object / cells;
    }
    return total / static_cast<double>(samples.size());
  }

  CpuContext context_{1};
};

TEST_F(GridMaskLoss, EqualsTheSumWrittenOut) {
  // Second picture smaller than the batch; boxes of one pixel, of less than k pixels, without any pixel centre, over
  // the border.
  std::vector<ImageTargets> images(2);
  images[0].objects = {ellipse({5, 7, 50, 60}, 0, 64, 96), ellipse({60, 2, 63, 5}, 1, 64, 96)};
  images[1].objects = {ellipse({10, 10, 44, 40}, 2, 48, 64)};
  const std::vector<GridSample> samples = {{0, 0, 0, {5, 7, 50, 60}},     {0, 0, 1, {60, 2, 63, 5}},
                                           {0, 1, 0, {10, 10, 44, 40}},   {0, 1, 0, {11.5f, 9.25f, 70.5f, 55.5f}},
                                           {0, 0, 0, {-20, -8, 120, 90}}, {0, 0, 1, {61.2f, 3.2f, 61.4f, 3.4f}},
                                           {0, 0, 1, {63, 4, 60, 2}}};
  for (const int stride : {1, 2, 4, 8}) {
    for (const bool other : {false, true}) {
      GridMaskConfig config;
      config.dim = 5;
      config.train_stride = stride;
      config.empty_cell_norm = other ? EmptyCellNorm::literal : EmptyCellNorm::nonempty;
      config.train_mask = other ? TrainMask::coverage : TrainMask::sampled;
      const Tensor pixels = random({2, 64 / stride, 96 / stride, 5}, 1);
      const Tensor objects = random({static_cast<int64_t>(samples.size()), 90}, 2);
      Tape tape(context_);
      const double computed =
          scalar(context_, gridmask_loss(tape, tape.input(pixels), stride, objects, samples, images, config));
      EXPECT_NEAR(computed, by_definition(pixels, objects, samples, images, config), 2e-5) << "stride " << stride;
    }
  }
}

TEST_F(GridMaskLoss, ResizesPixelsToTheTrainingStride) {
  std::vector<ImageTargets> images(1);
  images[0].objects = {ellipse({5, 7, 50, 60}, 0, 64, 64)};
  const std::vector<GridSample> samples = {{0, 0, 0, {5, 7, 50, 60}}};
  GridMaskConfig config;
  config.dim = 4;
  config.train_stride = 2;
  const Tensor pixels = random({1, 8, 8, 4}, 1);
  const Tensor objects = random({1, 72}, 2);
  Tape tape(context_, Tape::Mode::forward);
  const float resized_inside = scalar(context_, gridmask_loss(tape, pixels, 8, objects, samples, images, config));
  const Variable resized = resize_bilinear(tape, pixels, 32, 32);
  EXPECT_EQ(resized_inside, scalar(context_, gridmask_loss(tape, resized, 2, objects, samples, images, config)));
}

TEST_F(GridMaskLoss, DoesNotDependOnTheLengthOfVectors) {
  std::vector<ImageTargets> images(1);
  images[0].objects = {ellipse({5, 7, 50, 60}, 0, 64, 64)};
  const std::vector<GridSample> samples = {{0, 0, 0, {5, 7, 50, 60}}};
  GridMaskConfig config;
  config.dim = 4;
  const Tensor pixels = random({1, 8, 8, 4}, 1), objects = random({1, 72}, 2);
  const auto scaled = [&](const Tensor& tensor, float factor) {
    std::vector<float> values = tensor.to_host<float>(context_);
    for (float& value : values) value *= factor;
    return Tensor::from_host<float>(context_, tensor.shape(), values);
  };
  Tape tape(context_, Tape::Mode::forward);
  const float loss = scalar(context_, gridmask_loss(tape, pixels, 8, objects, samples, images, config));
  for (const float factor : {1e-3f, 0.03f, 11.0f, 1e3f}) {
    EXPECT_NEAR(scalar(context_,
                       gridmask_loss(tape, scaled(pixels, factor), 8, scaled(objects, 0.5f), samples, images, config)),
                loss, 1e-5);
  }
}

TEST_F(GridMaskLoss, NothingToLearn) {
  GridMaskConfig config;
  Tape tape(context_);
  const Variable pixels = tape.input(random({1, 8, 8, 16}, 1));
  EXPECT_EQ(scalar(context_, gridmask_loss(tape, pixels, 8, Tensor::empty(context_, {0, 288}), {}, {{}}, config)), 0);
}

}  // namespace
}  // namespace tessera
