// All runs of pycocotools 2.0.11 in the shared data, to 1e-9.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/evaluation/coco_eval.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

struct GoldenRun {
  const char* name;
  const char* truth;
  const char* results;
  OverlapKind overlap;
  bool use_categories = true;
};

void expect_close(const std::optional<double>& value, double expected) {
  if (expected < 0) {
    EXPECT_FALSE(value.has_value());
  } else {
    ASSERT_TRUE(value.has_value());
    EXPECT_NEAR(*value, expected, 1e-9);
  }
}

TEST(CocoEvalGolden, EveryRunToTheLastDigit) {
  TESSERA_REQUIRE_SHARED_DATA();
  const char* val100 = "cocoapi_pair/instances_val2014_100.json";
  const char* fake_segm = "cocoapi_pair/instances_val2014_fakesegm100_results.json";
  const char* coco128 = "golden/coco128_instances.json";
  const char* nuclei = "nuclei/instances_val.json";
  const char* fruits = "fruits_nuts/trainval.json";
  const GoldenRun runs[] = {
      {"val2014_100/fakesegm100/segm", val100, fake_segm, OverlapKind::segm},
      {"val2014_100/fakebbox100/bbox", val100, "cocoapi_pair/instances_val2014_fakebbox100_results.json",
       OverlapKind::bbox},
      {"val2014_100/fakesegm100/segm/useCats0", val100, fake_segm, OverlapKind::segm, false},
      {"val2014_100/fakesegm100/bbox", val100, fake_segm, OverlapKind::bbox},
      {"coco128/segm", coco128, "golden/dt_coco128.json", OverlapKind::segm},
      {"coco128/bbox", coco128, "golden/dt_coco128.json", OverlapKind::bbox},
      {"nuclei_val/segm", nuclei, "golden/dt_nuclei_val.json", OverlapKind::segm},
      {"nuclei_val/bbox", nuclei, "golden/dt_nuclei_val.json", OverlapKind::bbox},
      {"fruits/segm", fruits, "golden/dt_fruits.json", OverlapKind::segm},
      {"fruits/bbox", fruits, "golden/dt_fruits.json", OverlapKind::bbox},
  };
  const auto folder = testing_support::shared_data();
  const auto golden = nlohmann::json::parse(std::ifstream(folder / "golden" / "eval_expected.json"));
  ASSERT_EQ(golden.size(), std::size(runs));
  for (const GoldenRun& run : runs) {
    SCOPED_TRACE(run.name);
    const auto& expected = golden.at(run.name);
    const CocoDataset truth = read_coco(folder / run.truth);
    const CocoEvaluation evaluation =
        evaluate_coco(truth, read_results(folder / run.results), {run.overlap, run.use_categories, 0});
    for (size_t i = 0; i < 12; ++i) expect_close(evaluation.metrics[i], expected.at("stats")[i].get<double>());
    const auto& categories = expected.at("per_category_AP");
    ASSERT_EQ(evaluation.per_category.size(), categories.size());
    for (size_t i = 0; i < categories.size(); ++i) {
      EXPECT_EQ(evaluation.per_category[i].id, categories[i][0].get<int64_t>());
      expect_close(evaluation.per_category[i].ap, categories[i][1].get<double>());
    }
  }
}

}  // namespace
}  // namespace tessera
