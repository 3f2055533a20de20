// What the model behind choose_conv (docs/kernels/conv2d.md) expects of a call on its card: 84 multiprocessors at 1.7
// GHz, 128 multiply-adds a clock in fp32 and tf32, 256 in bf16 and fp16, 512 where halves are added in halves, 6.5
// bytes a clock each. Predictions, never measurements.
#pragma once

#include "kernels/conv2d_choice.h"

namespace tessera {

struct ConvPrediction {
  ConvChoice choice;
  double seconds;        // of the product kernel and, with splits, its second pass
  double limit_seconds;  // the multiply-adds alone, at the card's rate
};

ConvPrediction predict_conv(const ConvWork& work);

// Of so many bytes read and written in device memory.
double predicted_copy_seconds(int64_t bytes);

}  // namespace tessera
