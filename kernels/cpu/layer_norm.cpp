#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

constexpr int64_t kGrain = 1 << 13;  // elements worth a thread
constexpr int64_t kChunkRows = 64;   // rows whose weight gradients are summed in float

}  // namespace

void layer_norm_forward(CpuContext& context, const LayerNormForwardArgs& args) {
  const int64_t channels = args.channels;
  parallel_for(context, args.rows, kGrain / std::max<int64_t>(1, channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * channels;
      float* y = args.y + row * channels;
      double sum = 0;  // in double: of a mean far from zero every digit counts
      float squares = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < channels; ++c) sum += double{x[c]};
      const auto mean = static_cast<float>(sum / static_cast<double>(channels));
#pragma omp simd reduction(+ : squares)
      for (int64_t c = 0; c < channels; ++c) squares += (x[c] - mean) * (x[c] - mean);
      const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(channels) + args.epsilon);
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) y[c] = (x[c] - mean) * rstd * args.weight[c] + args.bias[c];
      args.mean[row] = mean;
      args.rstd[row] = rstd;
    }
  });
}

void layer_norm_backward(CpuContext& context, const LayerNormBackwardArgs& args) {
  const int64_t channels = args.channels, chunks = (args.rows + kChunkRows - 1) / kChunkRows;
  const bool affine = args.dweight != nullptr || args.dbias != nullptr;
  // Per chunk: sums of dy * xh, then of dy.
  Scratch<float> partial(context, static_cast<size_t>(affine ? chunks * 2 * channels : 1));
  parallel_chunks(context, args.rows, kChunkRows, [&](int64_t chunk, int64_t begin, int64_t end) {
    float* dweight = partial.data() + (affine ? chunk * 2 * channels : 0);
    float* dbias = dweight + channels;
    if (affine) std::fill(dweight, dweight + 2 * channels, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const float *x = args.x + row * channels, *dy = args.dy + row * channels;
      const float mean = args.mean[row], rstd = args.rstd[row];
      if (affine) {
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          dweight[c] += dy[c] * ((x[c] - mean) * rstd);
          dbias[c] += dy[c];
        }
      }
      if (args.dx == nullptr) continue;
      float sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
      for (int64_t c = 0; c < channels; ++c) {
        const float g = dy[c] * args.weight[c];
        sum += g;
        product += g * ((x[c] - mean) * rstd);
      }
      const float level = sum / static_cast<float>(channels), slope = product / static_cast<float>(channels);
      float* dx = args.dx + row * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        dx[c] = rstd * (dy[c] * args.weight[c] - level - (x[c] - mean) * rstd * slope);
      }
    }
  });
  for (const int64_t which : {0, 1}) {
    float* gradient = which == 0 ? args.dweight : args.dbias;
    if (gradient == nullptr) continue;
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        sum += partial[static_cast<size_t>((chunk * 2 + which) * channels + c)];
      }
      gradient[c] = static_cast<float>(sum);
    }
  }
}

}  // namespace tessera
