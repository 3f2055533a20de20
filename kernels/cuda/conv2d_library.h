// Calls of the convolution by NVIDIA's libraries (kernels/cuda/libraries.h): which of them may do a call, and how.
// Without epilogue: scale, bias, residual and ReLU follow as a pass of ours. Nothing on the emulated device.
#pragma once

#include <functional>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"

namespace tessera {

struct LibraryCall {
  std::vector<ConvSource> offered;
  std::function<void(ConvSource)> run;  // one of those offered; may throw LibraryRefused
};

// The operands of a branch as the product kernels of the precision read them; *_group: channels of a group in memory,
// padded to a multiple of 8 in 16 bits. Spans and pointers are used when `run` is called.
struct ConvOperands {
  ConvMath math;
  const void* x = nullptr;
  const void* weight = nullptr;  // OHWI; data gradient: [in, out] with scale, for a window of one tap
  const void* dy = nullptr;
  int64_t x_group = 0, dy_group = 0;
};

// A branch after the other; operands: of each.
LibraryCall library_forward(CudaContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches,
                            std::vector<ConvOperands> operands);
// Calls its argument with the weights of a branch as cuDNN wants them, OHWI in the elements of the precision: a copy
// that other candidates do not need.
using WithWeight = std::function<void(size_t branch, const std::function<void(const void*)>&)>;
LibraryCall library_backward_data(CudaContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches,
                                  std::vector<ConvOperands> operands, WithWeight with_weight);
LibraryCall library_backward_weight(CudaContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches,
                                    std::vector<ConvOperands> operands);

template <typename... Arguments>
LibraryCall library_forward(EmulatedContext&, const Arguments&...) {
  return {};
}
template <typename... Arguments>
LibraryCall library_backward_data(EmulatedContext&, const Arguments&...) {
  return {};
}
template <typename... Arguments>
LibraryCall library_backward_weight(EmulatedContext&, const Arguments&...) {
  return {};
}

}  // namespace tessera
