#include "kernels/cuda/conv2d_library.h"

#include <algorithm>

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

LibraryCall library_forward(CudaContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches,
                            std::vector<ConvOperands> operands) {
  const ConvMath math = operands.front().math;
  Conv2dWindow window = branches.front().window;
  window.in_channels = window.groups * operands.front().x_group;
  const auto run = [&context, branches, operands, math, window](ConvSource source) {
    for (size_t branch = 0; branch < branches.size(); ++branch) {
      const void* weight = operands[branch].weight;
      for (const Conv2dMap& map : branches[branch].maps) {
        const void* x = row_of(operands[branch].x, math, map.in_row, window.in_channels);
        float* y = branches[branch].y + map.out_row * window.out_channels;
        if (source == ConvSource::cudnn) {
          cudnn_conv(context, {CudnnPass::forward, math, window, map, x, weight, y});
        } else {
          cublas_product(context, {x, weight, y, map.out_rows(), window.out_channels, window.in_channels, math});
        }
      }
    }
  };
  return {offered(window, math, true), run};
}

LibraryCall library_backward_data(CudaContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches,
                                  std::vector<ConvOperands> operands, WithWeight with_weight) {
  const ConvMath math = operands.front().math;
  const Conv2dWindow window = branches.front().window;
  const int64_t dy_channels = window.groups * operands.front().dy_group;
  const auto run = [&context, branches, operands, math, window, dy_channels, with_weight](ConvSource source) {
    for (size_t branch = 0; branch < branches.size(); ++branch) {
      const auto each_map = [&](const std::function<void(const Conv2dMap&, const void*, float*)>& call) {
        for (const Conv2dMap& map : branches[branch].maps) {
          call(map, row_of(operands[branch].dy, math, map.out_row, dy_channels),
               branches[branch].dx + map.in_row * window.in_channels);
        }
      };
      if (source == ConvSource::cublas) {
        each_map([&](const Conv2dMap& map, const void* dy, float* dx) {
          cublas_product(context,
                         {dy, operands[branch].weight, dx, map.in_rows(), window.in_channels, dy_channels, math});
        });
        continue;
      }
      with_weight(branch, [&](const void* weight) {
        each_map([&](const Conv2dMap& map, const void* dy, float* dx) {
          cudnn_conv(context, {CudnnPass::data, math, window, map, dx, weight, dy});
        });
      });
    }
  };
  const bool scaled =
      std::any_of(branches.begin(), branches.end(), [](const auto& args) { return args.scale != nullptr; });
  return {offered(window, math, !scaled && whole_channels(window, math)), run};
}

LibraryCall library_backward_weight(CudaContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches,
                                    std::vector<ConvOperands> operands) {
  const ConvMath math = operands.front().math;
  const Conv2dWindow window = branches.front().window;
  if (!whole_channels(window, math)) return {};
  for (const Conv2dBackwardWeightArgs& args : branches) {
    if (args.maps.size() != 1) return {};  // neither adds to what another map gave
  }
  const auto run = [&context, branches, operands, math, window](ConvSource source) {
    for (size_t branch = 0; branch < branches.size(); ++branch) {
      const Conv2dMap& map = branches[branch].maps.front();
      float* dweight = branches[branch].dweight;
      const void* x = row_of(operands[branch].x, math, map.in_row, window.in_channels);
      const void* dy = row_of(operands[branch].dy, math, map.out_row, window.out_channels);
      if (source == ConvSource::cudnn) {
        cudnn_conv(context, {CudnnPass::weight, math, window, map, x, dweight, dy});
      } else {
        cublas_product(context, {dy, x, dweight, window.out_channels, window.in_channels, map.out_rows(), math, true});
      }
    }
  };
  return {offered(window, math, true), run};
}

}  // namespace tessera
