// The forward pass and the data gradient of a convolution as gathers: which source cells meet a destination cell, tap
// by tap. The same for every precision.
#pragma once

#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cpu/gathered_product.h"

namespace tessera {

GatheredProduct gather_of(const Conv2dForwardArgs& args);  // taps in the order of the window

// Input cells fall into stride x stride phases; in each, the same taps of the window meet an output cell. window_taps:
// overwritten with the tap of the window behind every tap of the product.
GatheredProduct gather_of(const Conv2dBackwardDataArgs& args, std::vector<int64_t>& window_taps);

}  // namespace tessera
