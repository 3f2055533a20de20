#include "kernels/cpu/direct_conv2d.h"

#include <gtest/gtest.h>

#include "engine/core/rng.h"
#include "engine/core/tensor.h"

namespace tessera {
namespace {

Tensor normal_tensor(Context& context, const Shape& shape, uint64_t sample) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(5, RandomPurpose::test, 0, sample);
  for (float& value : values) value = rng.normal();
  return Tensor::from_host<float>(context, shape, values);
}

// A result of more than 32 MiB is written past the caches, its halves are not: the same bits.
TEST(DirectConv2d, LargeResultsEqualTheirHalves) {
  for (const int threads : {1, 2}) {
    CpuContext context(threads);
    const Conv2dWindow window{24, 64, 1, 1, 1, 0, 1};
    const Conv2dMap whole{2, 363, 181, 363, 181, 0, 0};
    ASSERT_GT(whole.out_rows() * window.out_channels, int64_t{8} << 20);
    const Tensor x = normal_tensor(context, {whole.in_rows(), window.in_channels}, 0);
    const Tensor weight = normal_tensor(context, {window.weight_elements()}, 1);
    const Tensor bias = normal_tensor(context, {window.out_channels}, 2);
    const Tensor residual = normal_tensor(context, {whole.out_rows(), window.out_channels}, 3);
    const Tensor y = Tensor::empty(context, residual.shape()), halves = Tensor::empty(context, residual.shape());
    const auto run = [&](const Conv2dMap& map, const Tensor& to) {
      direct_conv2d_forward(context, {window,
                                      {&map, 1},
                                      x.data<float>(),
                                      weight.data<float>(),
                                      nullptr,
                                      bias.data<float>(),
                                      residual.data<float>(),
                                      to.data<float>(),
                                      true});
    };
    run(whole, y);
    const int64_t half = whole.out_rows() / 2;
    for (const int64_t first : {int64_t{0}, half}) run({1, 363, 181, 363, 181, first, first}, halves);
    EXPECT_EQ(y.to_host<float>(context), halves.to_host<float>(context)) << threads << " threads";
  }
}

}  // namespace
}  // namespace tessera
