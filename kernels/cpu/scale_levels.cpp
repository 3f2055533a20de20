#include "kernels/scale_levels.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kChunk = 1 << 13;

template <ScaleActivation activation>
float output_of(float value) {
  if constexpr (activation == ScaleActivation::relu) return std::max(value, 0.0f);
  if constexpr (activation == ScaleActivation::exp) return vector_exp(value);
  return value;
}

template <ScaleActivation activation>
float gradient_before(float dy, const float* y, int64_t i) {
  if constexpr (activation == ScaleActivation::relu) return y[i] > 0.0f ? dy : 0.0f;
  if constexpr (activation == ScaleActivation::exp) return dy * y[i];
  return dy;
}

template <ScaleActivation activation>
void forward(CpuContext& context, const ScaleLevelForwardArgs& args) {
  const float scale = *args.scale;
  parallel_for(context, args.count, 1 << 14, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.y[i] = output_of<activation>(scale * args.x[i]);
  });
}

template <ScaleActivation activation>
void backward(CpuContext& context, const ScaleLevelBackwardArgs& args) {
  const float scale = *args.scale;
  const float* y = args.y;
  const int64_t chunks = (args.count + kChunk - 1) / kChunk;
  Scratch<double> sums(context, static_cast<size_t>(std::max<int64_t>(1, chunks)));
  parallel_chunks(context, args.count, kChunk, [&](int64_t chunk, int64_t begin, int64_t end) {
    if (args.dscale != nullptr) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = begin; i < end; ++i) {
        sum += static_cast<double>(gradient_before<activation>(args.dy[i], y, i)) * args.x[i];
      }
      sums[static_cast<size_t>(chunk)] = sum;
    }
    if (args.dx != nullptr) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) args.dx[i] = scale * gradient_before<activation>(args.dy[i], y, i);
    }
  });
  if (args.dscale == nullptr) return;
  double total = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) total += sums[static_cast<size_t>(chunk)];
  *args.dscale = static_cast<float>(total);
}

}  // namespace

void scale_level_forward(CpuContext& context, const ScaleLevelForwardArgs& args) {
  switch (args.activation) {
    case ScaleActivation::none:
      return forward<ScaleActivation::none>(context, args);
    case ScaleActivation::relu:
      return forward<ScaleActivation::relu>(context, args);
    case ScaleActivation::exp:
      return forward<ScaleActivation::exp>(context, args);
  }
}

void scale_level_backward(CpuContext& context, const ScaleLevelBackwardArgs& args) {
  switch (args.activation) {
    case ScaleActivation::none:
      return backward<ScaleActivation::none>(context, args);
    case ScaleActivation::relu:
      return backward<ScaleActivation::relu>(context, args);
    case ScaleActivation::exp:
      return backward<ScaleActivation::exp>(context, args);
  }
}

}  // namespace tessera
