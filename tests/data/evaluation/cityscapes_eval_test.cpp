// The Cityscapes protocol on pictures small enough to count by hand.
#include "data/evaluation/cityscapes_eval.h"

#include <gtest/gtest.h>

#include "data/evaluation/coco_eval.h"
#include "engine/core/error.h"
#include "tests/data/cityscapes_miniature.h"
#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr int kHeight = 60, kWidth = 80;

CityscapesPrediction predict(const Rectangle& r, double score) {
  Bitmap mask{kHeight, kWidth, std::vector<uint8_t>(size_t{kHeight} * kWidth, 0)};
  for (int y = r.y; y < r.y + r.height; ++y) {
    for (int x = r.x; x < r.x + r.width; ++x) mask.pixels[static_cast<size_t>(y) * kWidth + x] = 1;
  }
  return {r.value, score, rle_encode(mask)};
}

CityscapesEvaluation evaluate(const std::vector<Rectangle>& truth,
                              const std::vector<CityscapesPrediction>& predictions) {
  CityscapesEvaluator evaluator;
  evaluator.add(label_map(kHeight, kWidth, truth), predictions);
  return evaluator.finish();
}

TEST(CityscapesEval, PerfectMissingAndNothing) {
  const Rectangle car{10, 10, 20, 20, 26000};
  EXPECT_DOUBLE_EQ(*evaluate({car}, {predict({10, 10, 20, 20, 26}, 0.9)}).ap, 1.0);
  EXPECT_DOUBLE_EQ(*evaluate({car}, {}).ap, 0.0);
  EXPECT_FALSE(evaluate({}, {predict({10, 10, 20, 20, 26}, 0.9)}).ap.has_value());
  // The mean is over classes with ground truth: a person that is not there changes nothing.
  const CityscapesEvaluation evaluation =
      evaluate({car}, {predict({10, 10, 20, 20, 26}, 0.9), predict({40, 10, 20, 20, 24}, 0.9)});
  EXPECT_DOUBLE_EQ(*evaluation.ap, 1.0);
  EXPECT_FALSE(evaluation.per_class[0].ap.has_value());
  EXPECT_EQ(evaluation.predictions, 2);
}

TEST(CityscapesEval, AnOverlapMustExceedTheThreshold) {
  // 200 of 400 pixels: an overlap of exactly 0.5 is no hit. The integral of the steps of one miss in one prediction: 0.
  const Rectangle car{10, 10, 20, 20, 26000};
  EXPECT_DOUBLE_EQ(*evaluate({car}, {predict({10, 10, 10, 20, 26}, 0.9)}).ap50, 0.0);
  EXPECT_GT(*evaluate({car}, {predict({10, 10, 11, 20, 26}, 0.9)}).ap50, 0.0);
}

TEST(CityscapesEval, IntegralOfTheSteps) {
  // Two objects; hits with scores 0.9 and 0.5, an error with 0.7. From the lowest score on: precision 2/3, 1/2, 1 at
  // recall 1, 1/2, 1/2, then precision 1 at recall 0. Widths: (1 - 1/2) / 2, (1 - 1/2) / 2, (1/2 - 0) / 2, (1/2 - 0)
  // / 2.
  const std::vector<Rectangle> cars = {{0, 0, 20, 20, 26000}, {30, 0, 20, 20, 26001}};
  const CityscapesEvaluation evaluation = evaluate(
      cars, {predict({0, 0, 20, 20, 26}, 0.9), predict({0, 30, 20, 20, 26}, 0.7), predict({30, 0, 20, 20, 26}, 0.5)});
  EXPECT_NEAR(*evaluation.ap50, 0.25 * (2.0 / 3) + 0.25 * 0.5 + 0.25 + 0.25, 1e-12);
  EXPECT_NEAR(*evaluation.ap, *evaluation.ap50, 1e-12);
}

TEST(CityscapesEval, ASecondPredictionOfAnObjectIsAnError) {
  const std::vector<Rectangle> car = {{0, 0, 20, 20, 26000}};
  const auto twice = [&](double a, double b) {
    return *evaluate(car, {predict({0, 0, 20, 20, 26}, a), predict({0, 0, 20, 20, 26}, b)}).ap;
  };
  // The hit keeps the higher score, in whichever order: precision 1/2 and 1 at recall 1.
  EXPECT_NEAR(twice(0.9, 0.3), 0.5 * 0.0 + 1.0 * 0.5 + 1.0 * 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(twice(0.3, 0.9), twice(0.9, 0.3));
}

TEST(CityscapesEval, WhatLiesOnVoidGroupsAndSmallObjectsIsNoError) {
  const Rectangle car{0, 0, 20, 20, 26000};
  const CityscapesPrediction hit = predict({0, 0, 20, 20, 26}, 0.5);
  // The false prediction scores higher, so that counting it would show.
  const auto with = [&](const Rectangle& ground) {
    return *evaluate({car, ground}, {hit, predict({40, 20, 20, 20, 26}, 0.9)}).ap;
  };
  const double error = with({40, 20, 20, 20, 8});  // sidewalk
  EXPECT_LT(error, 1.0);
  EXPECT_DOUBLE_EQ(with({40, 20, 20, 20, 26}), 1.0);       // a group of cars
  EXPECT_DOUBLE_EQ(with({40, 20, 20, 20, 4}), 1.0);        // static: void
  EXPECT_DOUBLE_EQ(with({40, 20, 20, 20, 29001}), error);  // a caravan instance is not void
  EXPECT_DOUBLE_EQ(with({40, 20, 20, 20, 24}), error);     // a group of another class
  EXPECT_DOUBLE_EQ(with({40, 20, 20, 10, 4}),
                   *evaluate({car, {40, 20, 20, 10, 26}}, {hit, predict({40, 20, 20, 20, 26}, 0.9)}).ap);
  // 99 pixels of ground truth do not count, neither as an object nor against the prediction on it.
  const CityscapesEvaluation small = evaluate({car, {40, 20, 9, 11, 26001}}, {hit, predict({40, 20, 9, 11, 26}, 0.9)});
  EXPECT_DOUBLE_EQ(*small.ap, 1.0);
  EXPECT_DOUBLE_EQ(*evaluate({car, {40, 20, 9, 11, 26001}}, {hit}).ap, 1.0);
}

TEST(CityscapesEval, EmptyMasksForeignClassesAndSizes) {
  const std::vector<Rectangle> car = {{0, 0, 20, 20, 26000}};
  const CityscapesPrediction hit = predict({0, 0, 20, 20, 26}, 0.5);
  EXPECT_DOUBLE_EQ(*evaluate(car, {hit, predict({0, 0, 0, 0, 26}, 0.9)}).ap, 1.0);
  EXPECT_DOUBLE_EQ(*evaluate(car, {hit, predict({40, 20, 9, 9, 29}, 0.9)}).ap, 1.0);
  CityscapesPrediction other = hit;
  other.mask = rle_encode(Bitmap{2, 2, {1, 1, 1, 1}});
  EXPECT_THROW(evaluate(car, {other}), Error);
}

TEST(CityscapesEval, ResultsOnAConvertedMiniatureUnderBothProtocols) {
  const TemporaryFolder folder;
  const Rectangle car{4, 4, 40, 30, 26000}, group{50, 4, 20, 20, 26};
  write_frame(folder.path(), "val", "bonn", "000000_000019", label_map(kHeight, kWidth, {car, group}));
  const CityscapesConversion conversion = convert_cityscapes(folder.path(), "val", folder.path() / "coco");
  const CocoDataset truth = read_coco(conversion.annotations);
  CocoResults results;
  const CityscapesPrediction hit = predict(car, 0.8), on_group = predict(group, 0.9);
  results.add(1, 26, 0.8, std::nullopt, &hit.mask);
  results.add(1, 26, 0.9, std::nullopt, &on_group.mask);
  const std::filesystem::path gt_fine = folder.path() / "gtFine/val";
  EXPECT_DOUBLE_EQ(*evaluate_cityscapes(truth, gt_fine, results).ap, 1.0);
  EXPECT_DOUBLE_EQ(*evaluate_coco(truth, results).metric("AP"), 1.0);
  EXPECT_NE(cityscapes_evaluation_to_json(evaluate_cityscapes(truth, gt_fine, results)).find("\"AP\": 1"),
            std::string::npos);
  results.add(9, 26, 0.9, std::nullopt, &hit.mask);
  EXPECT_THROW(evaluate_cityscapes(truth, gt_fine, results), Error);
}

}  // namespace
}  // namespace tessera
