#include "engine/ops/point_nms.h"

#include <gtest/gtest.h>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/point_nms.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

TEST(PointNms, AgreesWithOracle) {
  PyramidGeometry geometry(2);
  geometry.add_level(5, 4, 1);
  geometry.add_level(1, 3, 1);
  geometry.add_level(1, 1, 1);
  constexpr int64_t kClasses = 3;
  Rng rng(8, RandomPurpose::test);
  std::vector<float> scores(static_cast<size_t>(geometry.rows() * kClasses));
  for (float& score : scores) score = static_cast<float>(rng.below(6)) / 6.0f;  // with ties
  for_each_backend([&](Context& context) {
    const auto kept =
        point_nms(context, Tensor::from_host<float>(context, {geometry.rows(), kClasses}, scores), geometry)
            .to_host<float>(context);
    for (int64_t l = 0; l < geometry.level_count(); ++l) {
      const int64_t height = geometry.level(l).height, width = geometry.level(l).width;
      for (int64_t n = 0; n < 2; ++n) {
        const std::ptrdiff_t first = geometry.row(l, n, 0, 0) * kClasses, end = first + height * width * kClasses;
        const std::vector<float> map(scores.begin() + first, scores.begin() + end);
        EXPECT_EQ(std::vector<float>(kept.begin() + first, kept.begin() + end),
                  reference::point_nms(map, height, width, kClasses))
            << "level " << l << ", image " << n;
      }
    }
  });
}

}  // namespace
}  // namespace tessera
