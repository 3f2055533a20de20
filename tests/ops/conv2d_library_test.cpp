// NVIDIA's libraries as candidates of the convolution. On the emulated device, and in builds without them, they refuse;
// on a GPU they agree with our kernels within the rounding of the precision.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/rng.h"
#include "engine/core/tensor.h"
#include "kernels/conv2d_choice.h"
#include "kernels/cuda/libraries.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

struct LibraryCase {
  Conv2dWindow window;
  int64_t images, height, width;

  Conv2dMap map() const {
    const auto out = [&](int64_t extent, int64_t taps) {
      return (extent + 2 * window.padding - taps) / window.stride + 1;
    };
    return {images, height, width, out(height, window.height), out(width, window.width), 0, 0};
  }
};

const LibraryCase kCases[] = {{{16, 24, 3, 3, 1, 1, 1}, 2, 9, 11},
                              {{16, 24, 3, 3, 2, 1, 1}, 1, 13, 8},
                              {{24, 40, 1, 1, 1, 0, 1}, 2, 7, 5},
                              {{32, 32, 3, 3, 1, 1, 4}, 1, 6, 6},
                              {{5, 7, 3, 3, 1, 1, 1}, 1, 6, 6}};

Tensor random_tensor(Context& context, int64_t count, uint64_t sample) {
  std::vector<float> values(static_cast<size_t>(count));
  Rng rng(8, RandomPurpose::test, 0, sample);
  for (float& value : values) value = rng.normal();
  return Tensor::from_host<float>(context, {count}, values);
}

// Calls call(concrete context) on devices; nothing on the CPU, which has no choice.
template <typename Call>
void on_device(Context& context, const Call& call) {
  dispatch(context, [&](auto& device) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(device)>, CpuContext>) call(device);
  });
}

// Sums of `terms` products of unit normals, each rounded twice; the greatest of a few thousand results lies within six
// deviations.
void expect_close(Context& context, const Tensor& found, const Tensor& expected, double terms, ConvMath math) {
  const double unit = math == ConvMath::fp32 ? 0x1p-24 : math == ConvMath::bf16 ? 0x1p-9 : 0x1p-11;
  const double bound = 6 * 2 * std::sqrt(terms) * unit + 6 * std::sqrt(terms) * terms * 0x1p-24;
  const std::vector<float> a = found.to_host<float>(context), b = expected.to_host<float>(context);
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound) << i;
}

// True where the library did the call.
template <typename Call>
bool done(const Call& call) {
  try {
    call();
    return true;
  } catch (const LibraryRefused& refused) {
    EXPECT_STRNE(refused.what(), "");
    return false;
  }
}

TEST(Conv2dLibraries, AgreeWithOurKernelsOrRefuse) {
  int calls = 0;
  testing_support::for_each_backend([&](Context& context) {
    for (const LibraryCase& shape : kCases) {
      const Conv2dWindow& window = shape.window;
      const Conv2dMap map = shape.map();
      const std::span<const Conv2dMap> maps(&map, 1);
      const Tensor x = random_tensor(context, map.in_rows() * window.in_channels, 1);
      const Tensor weight = random_tensor(context, window.weight_elements(), 2);
      const Tensor dy = random_tensor(context, map.out_rows() * window.out_channels, 3);
      const Tensor bias = random_tensor(context, window.out_channels, 4);
      const auto like = [&](const Tensor& tensor) { return Tensor::zeros(context, tensor.shape()); };
      for (const ConvMath math : {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16}) {
        for (const ConvSource source : {ConvSource::cublas, ConvSource::cudnn}) {
          on_device(context, [&](auto& device) {
            const ConvChoice library{ConvTile::m64n64, 1, source}, own{ConvTile::m64n64, 1};
            const auto forward = [&](const Tensor& y, const ConvChoice& choice) {
              conv2d_forward(device,
                             {window, maps, x.data<float>(), weight.data<float>(), nullptr, bias.data<float>(),
                              dy.data<float>(), y.data<float>(), true, math},
                             choice);
            };
            const auto data = [&](const Tensor& dx, const ConvChoice& choice) {
              conv2d_backward_data(
                  device, {window, maps, dy.data<float>(), weight.data<float>(), nullptr, dx.data<float>(), math},
                  choice);
            };
            const auto weights = [&](const Tensor& dweight, const ConvChoice& choice) {
              conv2d_backward_weight(
                  device, {window, maps, x.data<float>(), dy.data<float>(), nullptr, dweight.data<float>(), math},
                  choice);
            };
            const auto compare = [&](const auto& pass, const Tensor& like_this, int64_t terms) {
              const Tensor theirs = like(like_this), ours = like(like_this);
              const bool did = done([&] { pass(theirs, library); });
              EXPECT_FALSE(did && context.backend() == Backend::emulated);
              if (!did) return;
              ++calls;
              pass(ours, own);
              expect_close(context, theirs, ours, static_cast<double>(terms), math);
            };
            compare(forward, dy, window.taps() * window.group_in());
            compare(data, x, window.taps() * window.group_out());
            compare(weights, weight, map.out_rows());
          });
        }
      }
    }
  });
  RecordProperty("library_calls", calls);
}

}  // namespace
}  // namespace tessera
