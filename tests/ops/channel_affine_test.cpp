#include "engine/ops/channel_affine.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/channel_affine.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(ChannelAffine, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 4, 4, 64}, Shape{5, 19}, Shape{0, 3}}) {
    for (const bool relu : {false, true}) {
      OpInput scale = random_input({shape.back()}, 2), shift = random_input({shape.back()}, 3);
      scale.differentiable = shift.differentiable = false;
      check_op(
          "channel_affine " + shape.to_string(), {random_input(shape, 1), scale, shift},
          [&](Tape& tape, const std::vector<Variable>& in) {
            return channel_affine(tape, in[0], in[1].value, in[2].value, relu);
          },
          [&](const auto& in) { return reference::channel_affine(in[0], in[1], in[2], relu); });
    }
  }
}

}  // namespace
}  // namespace tessera
