#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

void conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args) {
  const Conv2dWindow& w = args.window;
  for (const Conv2dMap& map : args.maps) {
    parallel_for(context, map.images * map.out_height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin * map.out_width; at < end * map.out_width; ++at) {
        const int64_t ox = at % map.out_width, oy = at / map.out_width % map.out_height;
        const int64_t image = at / map.out_width / map.out_height;
        for (int64_t o = 0; o < w.out_channels; ++o) {
          float sum = 0;
          for (int64_t v = 0; v < w.height; ++v) {
            const int64_t y = oy * w.stride - w.padding + v;
            if (y < 0 || y >= map.height) continue;
            for (int64_t u = 0; u < w.width; ++u) {
              const int64_t x = ox * w.stride - w.padding + u;
              if (x < 0 || x >= map.width) continue;
              const float* input = args.x + (map.in_row + (image * map.height + y) * map.width + x) * w.in_channels +
                                   o / w.group_out() * w.group_in();
              const float* weight = args.weight + ((o * w.height + v) * w.width + u) * w.group_in();
#pragma omp simd reduction(+ : sum)
              for (int64_t c = 0; c < w.group_in(); ++c) sum += input[c] * weight[c];
            }
          }
          const int64_t place = (map.out_row + at) * w.out_channels + o;
          if (args.scale != nullptr) sum *= args.scale[o];
          if (args.bias != nullptr) sum += args.bias[o];
          if (args.residual != nullptr) sum += args.residual[place];
          args.y[place] = args.relu ? std::max(sum, 0.0f) : sum;
        }
      }
    });
  }
}

void conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args) {
  const Conv2dWindow& w = args.window;
  for (const Conv2dMap& map : args.maps) {
    parallel_for(context, map.images * map.height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin * map.width; at < end * map.width; ++at) {
        const int64_t x = at % map.width, y = at / map.width % map.height, image = at / map.width / map.height;
        float* dx = args.dx + (map.in_row + at) * w.in_channels;
        std::fill_n(dx, w.in_channels, 0.0f);
        for (int64_t v = 0; v < w.height; ++v) {
          const int64_t oy = (y + w.padding - v) / w.stride;
          if (y + w.padding < v || (y + w.padding - v) % w.stride != 0 || oy >= map.out_height) continue;
          for (int64_t u = 0; u < w.width; ++u) {
            const int64_t ox = (x + w.padding - u) / w.stride;
            if (x + w.padding < u || (x + w.padding - u) % w.stride != 0 || ox >= map.out_width) continue;
            const float* dy =
                args.dy + (map.out_row + (image * map.out_height + oy) * map.out_width + ox) * w.out_channels;
            for (int64_t o = 0; o < w.out_channels; ++o) {
              const float factor = args.scale == nullptr ? dy[o] : dy[o] * args.scale[o];
              const float* weight = args.weight + ((o * w.height + v) * w.width + u) * w.group_in();
              float* target = dx + o / w.group_out() * w.group_in();
#pragma omp simd
              for (int64_t c = 0; c < w.group_in(); ++c) target[c] += factor * weight[c];
            }
          }
        }
      }
    });
  }
}

void conv2d_backward_weight(CpuContext& context, const Conv2dBackwardWeightArgs& args) {
  const Conv2dWindow& w = args.window;
  parallel_for(context, w.out_channels, 1, [&](int64_t begin, int64_t end) {
    const int64_t per_output = w.taps() * w.group_in();
    std::fill(args.dweight + begin * per_output, args.dweight + end * per_output, 0.0f);
    for (const Conv2dMap& map : args.maps) {
      for (int64_t at = 0; at < map.out_rows(); ++at) {
        const int64_t ox = at % map.out_width, oy = at / map.out_width % map.out_height;
        const int64_t image = at / map.out_width / map.out_height;
        for (int64_t v = 0; v < w.height; ++v) {
          const int64_t y = oy * w.stride - w.padding + v;
          if (y < 0 || y >= map.height) continue;
          for (int64_t u = 0; u < w.width; ++u) {
            const int64_t x = ox * w.stride - w.padding + u;
            if (x < 0 || x >= map.width) continue;
            for (int64_t o = begin; o < end; ++o) {
              const float factor = args.dy[(map.out_row + at) * w.out_channels + o];
              const float* input = args.x + (map.in_row + (image * map.height + y) * map.width + x) * w.in_channels +
                                   o / w.group_out() * w.group_in();
              float* dweight = args.dweight + ((o * w.height + v) * w.width + u) * w.group_in();
#pragma omp simd
              for (int64_t c = 0; c < w.group_in(); ++c) dweight[c] += factor * input[c];
            }
          }
        }
      }
    }
    if (args.scale == nullptr) return;
    for (int64_t i = begin * per_output; i < end * per_output; ++i) args.dweight[i] *= args.scale[i / per_output];
  });
}

void channel_sum(CpuContext& context, const ChannelSumArgs& args) {
  parallel_for(context, args.channels, 16, [&](int64_t begin, int64_t end) {
    std::fill(args.dbias + begin, args.dbias + end, 0.0f);
    for (int64_t row = 0; row < args.rows; ++row) {
      const float* dy = args.dy + row * args.channels;
#pragma omp simd
      for (int64_t c = begin; c < end; ++c) args.dbias[c] += dy[c];
    }
  });
}

}  // namespace tessera
