// Convolutions by cuDNN 9 (its graph interface), without epilogue.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/conv2d.h"

namespace tessera {

enum class CudnnPass : uint8_t { forward, data, weight };

// One map of a call, NHWC with OHWI weights. window: its channels are those of the operands in memory. x, y and weight
// are operands or results by the pass: of those it reads, f32 for fp32 and tf32, else in the 16 bits of the precision;
// the one it writes is f32, overwritten.
struct CudnnConv {
  CudnnPass pass;
  ConvMath math;
  Conv2dWindow window;
  Conv2dMap map;
  const void* x;
  const void* weight;
  const void* y;
};

// Whether this build knows cuDNN.
bool has_cudnn();
// "9.19.0" of the library that is opened. Throws LibraryRefused.
std::string cudnn_version();
// By the first engine of cuDNN's heuristics that is deterministic, multiplies in no less than the precision, and adds
// in f32 without transforms; chosen once per shape and context. Throws LibraryRefused where there is no cuDNN or no
// such engine, CaptureRefused for a shape that is new while launches are recorded.
void cudnn_conv(CudaContext& context, const CudnnConv& conv);

}  // namespace tessera
