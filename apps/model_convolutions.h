// The convolutions of a network as single calls, for `bench ops --model`: the network runs on a plan context, whose
// tuner takes down every call, and each map of each call is one row.
#pragma once

#include <vector>

#include "apps/bench_shapes.h"
#include "models/model_config.h"

namespace tessera {

// Of one forward pass; height and width are padded to the model's size divisor. Each shape once, those with the most
// multiply-adds in all their calls first.
std::vector<BenchShape> model_convolutions(const ModelConfig& config, int batch, int height, int width);

}  // namespace tessera
