// What the convolutions of a network are expected to take on a GPU, by the model that chooses their tiles
// (kernels/conv2d_prediction.h), for a machine that has none: the network runs on a plan context, whose tuner takes
// down every product. Predictions, marked as such wherever they are printed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/conv2d_prediction.h"
#include "models/model_config.h"

namespace tessera {

inline constexpr std::array kPredictedMath = {ConvMath::fp32, ConvMath::bf16, ConvMath::fp16_accumulate_chunked};

struct ConvolutionForecast {
  std::string description;                                      // of one launch: all maps of all branches
  int64_t calls = 0;                                            // in one forward pass
  int64_t macs = 0;                                             // of one call
  std::array<ConvPrediction, kPredictedMath.size()> product{};  // of one call
  // Operands in 16 bits, of one call; a map that is read with a stride counts as one without, one that branches share
  // for each.
  double copy_seconds = 0;
};

struct GpuForecast {
  std::vector<ConvolutionForecast> convolutions;  // the most multiply-adds first
  int64_t other_macs = 0;                         // of matrix products that are no convolution; without a prediction
  double other_seconds = 0;  // outputs of all other ops written and as much read, at the card's rate of copying

  double product_seconds(size_t math) const;
  double copy_seconds(size_t math) const;  // 0 where the operands stay in f32
};

// height and width are padded to the model's size divisor. Post-processing is not part of it.
GpuForecast forecast_gpu(const ModelConfig& config, int batch, int height, int width);

void print_forecast(const GpuForecast& forecast);
std::string forecast_json(const GpuForecast& forecast);

}  // namespace tessera
