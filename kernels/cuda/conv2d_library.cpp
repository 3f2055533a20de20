#include "kernels/cuda/conv2d_library.h"

#include "kernels/cuda/cublas_product.h"
#include "kernels/cuda/cudnn_conv.h"
#include "kernels/cuda/libraries.h"

namespace tessera {

namespace {

bool in_half_the_bits(ConvMath math) { return math != ConvMath::fp32 && math != ConvMath::tf32; }

// Where operands have as many channels as the tensors of the call.
bool whole_channels(const Conv2dWindow& window, ConvMath math) {
  return !in_half_the_bits(math) || (window.group_in() % 8 == 0 && window.group_out() % 8 == 0);
}

// A product of matrices: one tap, all pixels.
bool is_product(const Conv2dWindow& window) {
  return window.taps() == 1 && window.stride == 1 && window.padding == 0 && window.groups == 1;
}

const void* row_of(const void* rows, ConvMath math, int64_t row, int64_t channels) {
  const int64_t bytes = in_half_the_bits(math) ? 2 : 4;
  return static_cast<const char*>(rows) + row * channels * bytes;
}

std::vector<ConvSource> offered(const Conv2dWindow& window, ConvMath math, bool cudnn) {
  std::vector<ConvSource> sources;
  if (math == ConvMath::fp16_accumulate_chunked) return sources;
  if (has_cudnn() && cudnn) sources.push_back(ConvSource::cudnn);
  if (has_cublas() && is_product(window)) sources.push_back(ConvSource::cublas);
  return sources;
}

}  // namespace

LibraryCall library_forward(CudaContext& context, const Conv2dForwardArgs& args, const ConvOperands& operands) {
  Conv2dWindow window = args.window;
  window.in_channels = window.groups * operands.x_group;
  const auto run = [&context, args, operands, window](ConvSource source) {
    for (const Conv2dMap& map : args.maps) {
      const void* x = row_of(operands.x, operands.math, map.in_row, window.in_channels);
      float* y = args.y + map.out_row * window.out_channels;
      if (source == ConvSource::cudnn) {
        cudnn_conv(context, {CudnnPass::forward, operands.math, window, map, x, operands.weight, y});
      } else {
        cublas_product(context,
                       {x, operands.weight, y, map.out_rows(), window.out_channels, window.in_channels, operands.math});
      }
    }
  };
  return {offered(window, operands.math, true), run};
}

LibraryCall library_backward_data(CudaContext& context, const Conv2dBackwardDataArgs& args,
                                  const ConvOperands& operands, WithWeight with_weight) {
  const Conv2dWindow window = args.window;
  const int64_t dy_channels = window.groups * operands.dy_group;
  const auto run = [&context, args, operands, window, dy_channels, with_weight](ConvSource source) {
    const auto each_map = [&](const std::function<void(const Conv2dMap&, const void*, float*)>& call) {
      for (const Conv2dMap& map : args.maps) {
        call(map, row_of(operands.dy, operands.math, map.out_row, dy_channels),
             args.dx + map.in_row * window.in_channels);
      }
    };
    if (source == ConvSource::cublas) {
      each_map([&](const Conv2dMap& map, const void* dy, float* dx) {
        cublas_product(context,
                       {dy, operands.weight, dx, map.in_rows(), window.in_channels, dy_channels, operands.math});
      });
      return;
    }
    with_weight([&](const void* weight) {
      each_map([&](const Conv2dMap& map, const void* dy, float* dx) {
        cudnn_conv(context, {CudnnPass::data, operands.math, window, map, dx, weight, dy});
      });
    });
  };
  return {offered(window, operands.math, args.scale == nullptr && whole_channels(window, operands.math)), run};
}

LibraryCall library_backward_weight(CudaContext& context, const Conv2dBackwardWeightArgs& args,
                                    const ConvOperands& operands) {
  const Conv2dWindow window = args.window;
  // Neither adds to what another map gave.
  if (args.maps.size() != 1 || !whole_channels(window, operands.math)) return {};
  const auto run = [&context, args, operands, window](ConvSource source) {
    const Conv2dMap& map = args.maps.front();
    const void* x = row_of(operands.x, operands.math, map.in_row, window.in_channels);
    const void* dy = row_of(operands.dy, operands.math, map.out_row, window.out_channels);
    if (source == ConvSource::cudnn) {
      cudnn_conv(context, {CudnnPass::weight, operands.math, window, map, x, args.dweight, dy});
    } else {
      cublas_product(
          context, {dy, x, args.dweight, window.out_channels, window.in_channels, map.out_rows(), operands.math, true});
    }
  };
  return {offered(window, operands.math, true), run};
}

}  // namespace tessera
