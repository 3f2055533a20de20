#include "engine/ops/patch_gather.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/patch_gather.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(PatchGather, AgreesWithOracle) {
  PyramidGeometry geometry(2);
  geometry.add_level(4, 5, 8);
  geometry.add_level(2, 3, 16);
  geometry.add_level(1, 1, 32);
  const auto last = static_cast<int32_t>(geometry.rows() - 1);
  std::vector<int32_t> every_row;  // backwards; more patches than a warp looks at together
  for (int32_t row = last; row >= 0; --row) every_row.push_back(row);
  std::vector<int32_t> one_row(90, 26);  // its nine cells are met by all patches
  for (const int64_t channels : {1, 5, 40}) {
    for (const std::vector<int32_t>& rows : {std::vector<int32_t>{0, 4, 7, 19, 20, 39, 40, 45, last, last - 1, 7, 7},
                                             std::vector<int32_t>{}, every_row, one_row}) {
      OpTolerance tolerance;
      if (rows.size() > 40) tolerance.jacobian_limit = 100;
      check_op(
          "patch_gather", {random_input({geometry.rows(), channels}, 1)},
          [&](Tape& tape, const std::vector<Variable>& x) {
            const Tensor index = Tensor::from_host<int32_t>(tape.context(), {static_cast<int64_t>(rows.size())}, rows);
            return patch_gather(tape, Pyramid{x[0], geometry}, index);
          },
          [&](const auto& x) { return reference::patch_gather(x[0], geometry, channels, rows); }, tolerance);
    }
  }
}

}  // namespace
}  // namespace tessera
