// Small cases, each aimed at one rule of the evaluation that is easily got wrong.
#include "data/evaluation/coco_eval.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/annotations/polygon.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {
namespace {

struct TruthSpec {
  int64_t image, category;
  BoxXywh box;
  double area = -1;  // -1: of the box
  bool crowd = false;
};

// Pictures 1..images of 200 x 200, categories 1..categories, objects with rectangular masks and ids from `first_id`.
CocoDataset make_truth(const std::vector<TruthSpec>& objects, int images = 1, int categories = 1,
                       int64_t first_id = 1) {
  nlohmann::json root = {{"images", nlohmann::json::array()},
                         {"categories", nlohmann::json::array()},
                         {"annotations", nlohmann::json::array()}};
  for (int i = 1; i <= images; ++i)
    root["images"].push_back({{"id", i}, {"width", 200}, {"height", 200}, {"file_name", "x"}});
  for (int i = 1; i <= categories; ++i) root["categories"].push_back({{"id", i}, {"name", fmt::format("c{}", i)}});
  for (const TruthSpec& o : objects) {
    const Rle rle = rle_from_box(o.box, 200, 200);
    root["annotations"].push_back({{"id", first_id++},
                                   {"image_id", o.image},
                                   {"category_id", o.category},
                                   {"bbox", {o.box.x, o.box.y, o.box.w, o.box.h}},
                                   {"area", o.area < 0 ? o.box.w * o.box.h : o.area},
                                   {"iscrowd", o.crowd ? 1 : 0},
                                   {"segmentation", {{"size", {200, 200}}, {"counts", rle.counts}}}});
  }
  const auto file = std::filesystem::temp_directory_path() / fmt::format("tessera_{}_truth.json", ::getpid());
  std::ofstream(file) << root.dump();
  CocoDataset dataset = read_coco(file);
  std::filesystem::remove(file);
  return dataset;
}

struct FoundSpec {
  int64_t image, category;
  double score;
  BoxXywh box;
};

CocoResults boxes(const std::vector<FoundSpec>& objects) {
  CocoResults results;
  for (const FoundSpec& o : objects) results.add(o.image, o.category, o.score, o.box, nullptr);
  return results;
}

CocoResults masks(const std::vector<FoundSpec>& objects) {
  CocoResults results;
  for (const FoundSpec& o : objects) {
    const Rle rle = rle_from_box(o.box, 200, 200);
    results.add(o.image, o.category, o.score, std::nullopt, &rle);
  }
  return results;
}

double metric(const CocoDataset& truth, const CocoResults& results, const char* name,
              OverlapKind kind = OverlapKind::bbox) {
  return evaluate_coco(truth, results, {kind}).metric(name).value_or(-1);
}

const BoxXywh kBox{10, 10, 40, 40};  // 1600: medium

TEST(CocoEval, PerfectDetectionsScoreOne) {
  const CocoDataset truth = make_truth({{1, 1, kBox}});
  for (OverlapKind kind : {OverlapKind::bbox, OverlapKind::segm}) {
    EXPECT_DOUBLE_EQ(metric(truth, masks({{1, 1, .5, kBox}}), "AP", kind), 1);
    EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .5, kBox}}), "AP", kind), 1);  // segm: the box as a rectangle
  }
  EXPECT_EQ(metric(truth, boxes({{1, 1, .5, kBox}}), "APs"), -1);  // no small object: undefined
}

TEST(CocoEval, NothingFoundIsZeroAndNothingToFindIsUndefined) {
  const CocoEvaluation none = evaluate_coco(make_truth({{1, 1, kBox}}, 1, 2), {}, {});
  EXPECT_EQ(none.metric("AP"), 0.0);
  EXPECT_EQ(none.per_category[0].ap, 0.0);
  EXPECT_FALSE(none.per_category[1].ap.has_value());  // category without ground truth: left out of the mean
  EXPECT_FALSE(evaluate_coco(make_truth({}), boxes({{1, 1, .5, kBox}}), {OverlapKind::bbox}).metric("AP").has_value());
}

TEST(CocoEval, OverlapEqualToTheThresholdMatches) {
  // 20 of 40 columns: overlap exactly 0.5.
  EXPECT_DOUBLE_EQ(metric(make_truth({{1, 1, kBox}}), boxes({{1, 1, .5, {10, 10, 20, 40}}}), "AP50"), 1);
  // 36 of 40 columns: 0.9, above the ninth threshold 0.8999999999999999.
  EXPECT_DOUBLE_EQ(metric(make_truth({{1, 1, kBox}}), boxes({{1, 1, .5, {10, 10, 36, 40}}}), "AP"), .9);
}

TEST(CocoEval, BoxesHaveNoExtraPixel) {
  // 19.9 of 40 columns is below one half; with a pixel added to widths it would be above.
  EXPECT_EQ(metric(make_truth({{1, 1, kBox}}), boxes({{1, 1, .5, {10, 10, 19.9, 40}}}), "AP50"), 0);
}

TEST(CocoEval, CrowdsAbsorbAndAreNotToBeFound) {
  const CocoDataset truth = make_truth({{1, 1, kBox}, {1, 1, {100, 100, 90, 90}, -1, true}});
  // Three detections inside the crowd are neither hits nor false alarms, though scored above the hit.
  const CocoResults found = boxes(
      {{1, 1, .9, {100, 100, 20, 20}}, {1, 1, .8, {110, 110, 20, 20}}, {1, 1, .7, {120, 120, 9, 9}}, {1, 1, .5, kBox}});
  EXPECT_DOUBLE_EQ(metric(truth, found, "AP"), 1);
  EXPECT_DOUBLE_EQ(metric(truth, found, "AR100"), 1);
}

TEST(CocoEval, AnObjectComesBeforeACrowdOfLargerOverlap) {
  const CocoDataset truth = make_truth({{1, 1, {0, 0, 100, 100}, -1, true}, {1, 1, kBox}});
  EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .9, {10, 10, 30, 40}}}), "AP50"), 1);
}

TEST(CocoEval, OneObjectMatchesOnce) {
  // Precision 1/2 would follow if the duplicate came first in rank; after the hit it does not matter.
  EXPECT_DOUBLE_EQ(metric(make_truth({{1, 1, kBox}}), boxes({{1, 1, .9, kBox}, {1, 1, .8, kBox}}), "AP"), 1);
  const CocoDataset two = make_truth({{1, 1, kBox}, {1, 1, {100, 100, 40, 40}}});
  // hit, duplicate, hit: precision 1 up to recall 0.5 (51 levels), then 2/3 (50 levels).
  const double expected = (51 + 50 * 2. / 3) / 101;
  EXPECT_NEAR(metric(two, boxes({{1, 1, .9, kBox}, {1, 1, .8, kBox}, {1, 1, .7, {100, 100, 40, 40}}}), "AP"), expected,
              1e-12);
}

TEST(CocoEval, EqualScoresKeepTheOrderOfTheFile) {
  const BoxXywh away{120, 120, 40, 40};
  const CocoDataset truth = make_truth({{1, 1, kBox}});
  EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .5, kBox}, {1, 1, .5, away}}), "AP"), 1);
  EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .5, away}, {1, 1, .5, kBox}}), "AP"), .5);
}

TEST(CocoEval, FalseAlarmsInPicturesWithoutObjectsCount) {
  const CocoDataset truth = make_truth({{2, 1, kBox}}, 2);
  EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .9, kBox}, {2, 1, .5, kBox}}), "AP"), .5);
}

TEST(CocoEval, AreaRangesIncludeBothEnds) {
  const CocoDataset truth = make_truth({{1, 1, {10, 10, 32, 32}}});
  const CocoResults found = boxes({{1, 1, .9, {10, 10, 32, 32}}});
  EXPECT_DOUBLE_EQ(metric(truth, found, "APs"), 1);
  EXPECT_DOUBLE_EQ(metric(truth, found, "APm"), 1);
  EXPECT_EQ(metric(truth, found, "APl"), -1);
}

TEST(CocoEval, AreaOfTheFileDecidesNotTheMask) {
  const CocoDataset truth = make_truth({{1, 1, {10, 10, 32, 32}, 1025}});
  EXPECT_EQ(metric(truth, masks({{1, 1, .9, {10, 10, 32, 32}}}), "APs", OverlapKind::segm), -1);
  EXPECT_DOUBLE_EQ(metric(truth, masks({{1, 1, .9, {10, 10, 32, 32}}}), "APm", OverlapKind::segm), 1);
}

TEST(CocoEval, UnmatchedDetectionsOutsideTheRangeAreIgnored) {
  const CocoDataset truth = make_truth({{1, 1, kBox}});
  // A large false alarm ranks first: counts for all sizes, not for medium ones.
  const CocoResults found = boxes({{1, 1, .9, {60, 60, 120, 120}}, {1, 1, .5, kBox}});
  EXPECT_DOUBLE_EQ(metric(truth, found, "AP"), .5);
  EXPECT_DOUBLE_EQ(metric(truth, found, "APm"), 1);
}

TEST(CocoEval, TheHundredBestPerPictureAndCategory) {
  std::vector<FoundSpec> found;
  for (int i = 0; i < 100; ++i) found.push_back({1, 2, .9, {150, 150, 9, 9}});
  found.push_back({1, 1, .1, kBox});  // another category: kept though 101st in the picture
  const CocoDataset truth = make_truth({{1, 1, kBox}, {1, 2, {20, 20, 40, 40}}}, 1, 2);
  EXPECT_DOUBLE_EQ(*evaluate_coco(truth, boxes(found), {OverlapKind::bbox}).per_category[0].ap, 1);
  found.push_back({1, 2, .1, {20, 20, 40, 40}});  // 101st of its category: dropped
  EXPECT_EQ(evaluate_coco(truth, boxes(found), {OverlapKind::bbox}).per_category[1].ap, 0.0);
}

TEST(CocoEval, RecallLimitsTheDetectionsPerPicture) {
  std::vector<TruthSpec> truth;
  std::vector<FoundSpec> found;
  for (int i = 0; i < 20; ++i) {
    const BoxXywh box{10. * (i % 10), 20. * (i / 10.), 8, 8};
    truth.push_back({1, 1, box});
    found.push_back({1, 1, .9 - .01 * i, box});
  }
  EXPECT_NEAR(metric(make_truth(truth), boxes(found), "AR1"), .05, 1e-12);
  EXPECT_NEAR(metric(make_truth(truth), boxes(found), "AR10"), .5, 1e-12);
  EXPECT_NEAR(metric(make_truth(truth), boxes(found), "AR100"), 1, 1e-12);
}

TEST(CocoEval, AnnotationIdZeroIsAnObjectLikeAnyOther) {
  const CocoDataset truth = make_truth({{1, 1, kBox}}, 1, 1, 0);
  EXPECT_DOUBLE_EQ(metric(truth, boxes({{1, 1, .9, kBox}, {1, 1, .8, kBox}}), "AP"), 1);
  EXPECT_EQ(truth.findings().at(0).rule, "annotation-id-zero");
}

TEST(CocoEval, WithoutCategoriesAnyClassMatches) {
  const CocoDataset truth = make_truth({{1, 1, kBox}}, 1, 2);
  const CocoResults found = boxes({{1, 2, .9, kBox}});
  EXPECT_EQ(metric(truth, found, "AP"), 0);
  const CocoEvaluation evaluation = evaluate_coco(truth, found, {OverlapKind::bbox, false});
  EXPECT_DOUBLE_EQ(*evaluation.metric("AP"), 1);
  ASSERT_EQ(evaluation.per_category.size(), 1u);
  EXPECT_EQ(evaluation.per_category[0].id, -1);
}

TEST(CocoEval, UnusableResultsAreNamed) {
  const CocoDataset truth = make_truth({{1, 1, kBox}});
  const auto message = [&](const CocoResults& results) {
    try {
      evaluate_coco(truth, results, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(boxes({{1, 1, .5, kBox}, {7, 1, .5, kBox}})).find("result 1 of the list is of image_id 7"),
            std::string::npos);
  CocoResults wrong_size;
  const Rle rle{10, 20, {200}};
  wrong_size.add(1, 1, .5, std::nullopt, &rle);
  EXPECT_NE(message(wrong_size).find("mask of 10 x 20, but image 1 has height 200"), std::string::npos);
  EXPECT_EQ(evaluate_coco(truth, boxes({{1, 99, .5, kBox}}), {}).unknown_category, 1);
}

TEST(CocoEval, ResultDoesNotDependOnThreads) {
  std::vector<TruthSpec> truth;
  std::vector<FoundSpec> found;
  for (int image = 1; image <= 20; ++image) {
    Rng rng(5, RandomPurpose::shuffle, 0, static_cast<uint64_t>(image));
    for (int i = 0; i < 12; ++i) {
      const BoxXywh box{1. * (rng.bits() % 150), 1. * (rng.bits() % 150), 2. + rng.bits() % 48, 2. + rng.bits() % 48};
      const int64_t category = 1 + rng.bits() % 3;
      truth.push_back({image, category, box, -1, i == 0});
      for (int copy = 0; copy < 3; ++copy) {
        found.push_back({image, category, (rng.bits() % 10) / 10., {box.x + rng.bits() % 5, box.y, box.w, box.h}});
      }
    }
  }
  const CocoDataset dataset = make_truth(truth, 20, 3);
  const CocoEvaluation one = evaluate_coco(dataset, masks(found), {OverlapKind::segm, true, 1});
  EXPECT_GT(*one.metric("AP"), .1);
  EXPECT_LT(*one.metric("AP"), .9);
  EXPECT_EQ(one.metrics, evaluate_coco(dataset, masks(found), {OverlapKind::segm, true, 4}).metrics);
}

TEST(CocoEval, ReportsInJsonAndText) {
  const CocoEvaluation evaluation =
      evaluate_coco(make_truth({{1, 1, kBox}}, 1, 2), boxes({{1, 1, .9, kBox}}), {OverlapKind::bbox});
  const auto json = nlohmann::json::parse(evaluations_to_json(std::span(&evaluation, 1)));
  EXPECT_EQ(json.at("bbox").at("AP").get<double>(), *evaluation.metric("AP"));
  EXPECT_TRUE(json.at("bbox").at("APl").is_null());
  EXPECT_EQ(json.at("bbox").size(), 13u);
  const auto& category = json.at("bbox").at("per_category").at(0);
  EXPECT_EQ(category.at("id"), 1);
  EXPECT_EQ(category.at("name"), "c1");
  EXPECT_EQ(category.at("AP").get<double>(), *evaluation.per_category[0].ap);
  EXPECT_TRUE(json.at("bbox").at("per_category").at(1).at("AP").is_null());
  const std::string table = evaluation_table(evaluation);
  EXPECT_NE(table.find("n/a (no large objects)"), std::string::npos);
  EXPECT_NE(table.find("AP    1.000"), std::string::npos);
}

}  // namespace
}  // namespace tessera
