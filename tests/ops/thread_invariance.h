// Results must not depend on the number of threads: output and all input gradients bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/ops/op_check.h"

namespace tessera::testing_support {

inline void expect_same_bits_for_any_threads(const std::string& name, const std::vector<OpInput>& inputs,
                                             const OpUnderTest& op) {
  std::vector<std::vector<float>> expected;
  for (const int threads : {1, 2, 3, 7}) {
    CpuContext context(threads);
    Tape tape(context);
    std::vector<Variable> variables;
    for (const OpInput& input : inputs) {
      const std::vector<float> values(input.values.begin(), input.values.end());
      variables.push_back(tape.input(Tensor::from_host<float>(context, input.shape, values)));
    }
    const Variable output = op(tape, variables);
    const OpInput cotangent = random_input(output.shape(), 999);
    const std::vector<float> values(cotangent.values.begin(), cotangent.values.end());
    tape.backward(output, Tensor::from_host<float>(context, cotangent.shape, values));
    std::vector<std::vector<float>> results = {output.value.to_host<float>(context)};
    for (const Variable& variable : variables) results.push_back(tape.gradient(variable).to_host<float>(context));
    if (expected.empty()) expected = results;
    EXPECT_TRUE(results == expected) << name << " with " << threads << " threads";
  }
}

}  // namespace tessera::testing_support
