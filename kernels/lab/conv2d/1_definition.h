// Version 1: the definition, a thread per output. Neighbouring threads have neighbouring channels of one pixel: they
// read the same x, and weights that lie a whole window apart, so a load of a warp touches 32 lines. Two loads from
// memory for each multiply-add.
#pragma once

#include "kernels/lab/conv2d/map.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

inline constexpr int kDefinitionThreads = 256;

static __global__ void __launch_bounds__(kDefinitionThreads) define_outputs(const Map map) {
  for_each_element(int64_t{map.rows} * map.out_channels, [&](int64_t i) {
    const int m = static_cast<int>(i / map.out_channels), channel = static_cast<int>(i % map.out_channels);
    const int group = channel / map.group_out, n = channel % map.group_out;
    const WindowPlace window(map, m);
    float sum = 0.0f;
    for (int k = 0; k < map.depth; ++k) {
      sum += value_at(source_at(map, window, group, k)) * *weight_at(map, group, n, k);
    }
    store_sum(map, group, m, n, sum);
  });
}

inline void convolve_by_definition(DeviceContext& context, const Conv2dForwardArgs& args) {
  for_each_map(args, [&](const Map& map) {
    launch(define_outputs, grid_for(int64_t{map.rows} * map.out_channels, kDefinitionThreads), kDefinitionThreads, 0,
           context, map);
  });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
