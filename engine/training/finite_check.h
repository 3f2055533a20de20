// Training stops in the iteration that meets NaN or infinity, and says in which tensor: Error(non_finite), exit 5.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/autograd/parameter_store.h"
#include "engine/core/tensor.h"

namespace tessera {

struct NamedTensor {
  std::string name;  // "loss seg", "input images"
  Tensor tensor;     // f32
};

struct NonFinite {
  int64_t count = 0;   // elements that are NaN or infinite
  int64_t first = -1;  // flat index of the first
};

// tensor: f32. Waits for the device.
NonFinite count_non_finite(Context& context, const Tensor& tensor);

// Throws Error(non_finite) naming the first bad tensor of the list: "iteration 12: loss seg is nan"; with a store, the
// message also names the first parameter that is bad, which is then the cause. nullptr: no store.
void require_finite(Context& context, int64_t iteration, const std::vector<NamedTensor>& tensors,
                    const ParameterStore* store);

// The same for all gradients ("gradient of NAME") and for all parameters ("parameter NAME") of a store.
void require_finite_gradients(Context& context, int64_t iteration, const ParameterStore& store);
void require_finite_parameters(Context& context, int64_t iteration, const ParameterStore& store);

}  // namespace tessera
