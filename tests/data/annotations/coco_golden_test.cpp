// Annotation files of the shared data against what pycocotools makes of them.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/annotations/coco_json.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

struct Golden {
  const char* annotations;
  const char* expected;
  size_t count;
  uint64_t area;  // sum over all, data.md B.6
};

TEST(CocoGolden, MasksByteForByte) {
  TESSERA_REQUIRE_SHARED_DATA();
  const Golden goldens[] = {
      {"golden/coco128_instances.json", "golden/rle_coco128.json", 939, 12194426},
      {"cocoapi_pair/instances_val2014_100.json", "golden/rle_val2014_100.json", 839, 9144836},
      {"golden/lvis_val_100.json", "golden/rle_lvis_val_100.json", 977, 4937393},
      {"fruits_nuts/trainval.json", "golden/rle_fruits.json", 165, 1781490},
  };
  for (const Golden& golden : goldens) {
    SCOPED_TRACE(golden.annotations);
    const auto folder = testing_support::shared_data();
    const CocoDataset dataset = read_coco(folder / golden.annotations);
    const auto expected = nlohmann::json::parse(std::ifstream(folder / golden.expected));
    ASSERT_EQ(dataset.annotations().size(), golden.count);
    ASSERT_EQ(expected.size(), golden.count);
    uint64_t area = 0;
    for (size_t i = 0; i < golden.count; ++i) {
      const CocoAnnotation& annotation = dataset.annotations()[i];
      ASSERT_EQ(annotation.id, expected[i].at("id").get<int64_t>());
      const Rle mask = dataset.mask(annotation);
      EXPECT_EQ(rle_to_string(mask), expected[i].at("rle").at("counts").get<std::string>()) << annotation.id;
      EXPECT_EQ(rle_area(mask), expected[i].at("area").get<uint32_t>());
      const BoxXywh box = rle_box(mask);
      EXPECT_EQ((std::vector<double>{box.x, box.y, box.w, box.h}), expected[i].at("bbox").get<std::vector<double>>());
      area += rle_area(mask);
    }
    EXPECT_EQ(area, golden.area);
  }
}

}  // namespace
}  // namespace tessera
