// Weights as a function of a name and an index, without the cases of tests/golden/formula.h that these networks lack.
#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "engine/autograd/parameter_store.h"
#include "tests/golden/formula.h"

namespace tessera::testing_support {

// Convolutions: noise * 3.4 / sqrt(fan in); variances and scales of norms: 1 + noise; bias of the class logits: noise -
// 2; everything else: noise / 2.
inline void set_formula_weights(Context& context, const ParameterStore& store) {
  for (const Parameter& parameter : store.parameters()) {
    std::vector<float> values(static_cast<size_t>(parameter.shape.elements()));
    const std::string_view name = parameter.name;
    const bool around_one = name.ends_with("running_var") || name.ends_with(".scale") ||
                            (name.ends_with("weight") && parameter.shape.rank() == 1);
    const double fan_in = static_cast<double>(parameter.shape.elements()) / static_cast<double>(parameter.shape[0]);
    const float factor = parameter.shape.rank() == 4 ? static_cast<float>(3.4 / std::sqrt(fan_in)) : 0.5f;
    const golden::Formula formula(name);
    for (size_t i = 0; i < values.size(); ++i) {
      const float noise = formula.noise(i);
      values[i] = around_one ? 1 + noise : name.ends_with("cls_logits.bias") ? noise - 2 : factor * noise;
    }
    parameter.value.copy_from_host(context, values.data());
  }
}

}  // namespace tessera::testing_support
