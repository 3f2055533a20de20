#include "data/annotations/polygon.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

TEST(Polygon, SquareOnPixelBorders) {
  const double square[] = {1, 1, 3, 1, 3, 4, 1, 4};
  const Rle rle = rle_from_polygon(square, 6, 5);
  EXPECT_EQ(rle_area(rle), 6u);
  EXPECT_EQ(rle_box(rle), (BoxXywh{1, 1, 2, 3}));
  EXPECT_EQ(rle_from_box({1, 1, 2, 3}, 6, 5), rle);
  EXPECT_EQ(polygon_area(square), 6);
  EXPECT_EQ(polygon_box(square), (BoxXywh{1, 1, 2, 3}));
}

TEST(Polygon, OutsideIsClippedToTheImage) {
  const double around[] = {-50, -50, 500, -50, 500, 500, -50, 500};
  EXPECT_EQ(rle_from_polygon(around, 80, 100).counts, (std::vector<uint32_t>{0, 8000}));
  const double beside[] = {200, 10, 300, 10, 300, 20};
  EXPECT_EQ(rle_area(rle_from_polygon(beside, 80, 100)), 0u);
}

TEST(Polygon, CrossedOutlineFollowsTheEvenOddRule) {
  const double pentagram[] = {50, 5, 76, 85, 8, 36, 92, 36, 24, 85};
  const Bitmap mask = rle_decode(rle_from_polygon(pentagram, 100, 100));
  EXPECT_EQ(mask.at(50, 50), 0);  // the inner pentagon is crossed twice
  EXPECT_EQ(mask.at(20, 50), 1);
}

TEST(Polygon, PartsAreUnited) {
  const std::vector<double> a = {0, 0, 6, 0, 6, 6, 0, 6}, b = {3, 3, 9, 3, 9, 9, 3, 9};
  EXPECT_EQ(rle_area(rle_from_polygons({a, b}, 10, 10)), 36u + 36u - 9u);
  EXPECT_EQ(rle_area(rle_from_polygons({}, 10, 10)), 0u);
}

TEST(Polygon, DegenerateOutlinesAreEmpty) {
  const double line[] = {10, 10, 20, 20, 30, 30}, point[] = {4.3, 4.3, 4.3, 4.3, 4.3, 4.3};
  EXPECT_EQ(rle_area(rle_from_polygon(line, 80, 100)), 0u);
  EXPECT_EQ(rle_area(rle_from_polygon(point, 80, 100)), 0u);
  EXPECT_EQ(rle_area(rle_from_polygon({}, 80, 100)), 0u);
  const double single[] = {1};
  EXPECT_EQ(rle_area(rle_from_polygon(single, 8, 8)), 0u);
  EXPECT_EQ(polygon_area(line), 0);
}

TEST(Polygon, CoordinatesOutOfReachAreRefused) {
  for (double bad : {1e9, -1e9, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const double points[] = {bad, 1, 2, 3, 4, 5};
    EXPECT_THROW(rle_from_polygon(points, 10, 10), Error) << bad;
  }
}

TEST(Polygon, RandomOnesOfPycocotoolsByteForByte) {
  TESSERA_REQUIRE_SHARED_DATA();
  const auto cases =
      nlohmann::json::parse(std::ifstream(testing_support::shared_data() / "golden" / "poly_random.json"));
  ASSERT_EQ(cases.size(), 600u);
  for (const auto& expected : cases) {
    const Rle rle =
        rle_from_polygon(expected.at("poly").get<std::vector<double>>(), expected.at("h"), expected.at("w"));
    EXPECT_EQ(rle_to_string(rle), expected.at("rle").at("counts").get<std::string>());
    EXPECT_EQ(rle_area(rle), expected.at("area").get<uint32_t>());
  }
}

}  // namespace
}  // namespace tessera
