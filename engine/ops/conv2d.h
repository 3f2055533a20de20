// Convolution with its epilogue in one pass: y = act(scale * conv(x, w) + shift + bias + residual).
#pragma once

#include <span>
#include <vector>

#include "engine/autograd/tape.h"
#include "engine/ops/row_moments.h"

namespace tessera {

struct Conv2dInputs {
  Variable x;         // [N, H, W, I]
  Variable weight;    // [O, kh, kw, I / groups]
  Variable bias;      // [O] or undefined
  Variable scale;     // [O] or undefined; a constant (frozen batch norm)
  Variable shift;     // [O] or undefined; a constant
  Variable residual;  // [N, oh, ow, O] or undefined
};

struct Conv2dOptions {
  int stride = 1;
  int padding = 0;  // zeros around the map
  int groups = 1;
  bool relu = false;
};

// Output [N, oh, ow, O], oh = (H + 2 padding - kh) / stride + 1, or 0 rows when the window does not fit. Keeps for
// backward: x when the weights learn, the weights when x needs a gradient, the output when rectified. moments, unless
// null, receives statistics of the output, per image: conv2d_group_norm is what wants them.
Variable conv2d(Tape& tape, const Conv2dInputs& inputs, const Conv2dOptions& options = {},
                RowMomentTensors* moments = nullptr);

// The same weights on every level; the window must keep the size of a map (stride 1, odd window, padding half of it).
// Gradients of weights are sums over levels, in order. Statistics are per level and image.
Pyramid conv2d(Tape& tape, const Pyramid& x, const Variable& weight, const Variable& bias,
               const Conv2dOptions& options = {}, RowMomentTensors* moments = nullptr);

struct Conv2dBranch {
  Pyramid x;        // [R, I]
  Variable weight;  // [O, k, k, I / groups], of the same shape in all branches
  Variable bias;    // [O] or undefined
};

// The same on several pyramids, each with weights of its own (the same layer of several towers), which may be one and
// the same: on a device one launch forward, one for the gradients of all x and one for those of all weights. Gradients
// are added in the order in which separate ops would be walked back, and what no branch needs is not computed.
std::vector<Pyramid> conv2d(Tape& tape, std::span<const Conv2dBranch> branches, const Conv2dOptions& options = {},
                            std::vector<RowMomentTensors>* moments = nullptr);

}  // namespace tessera
