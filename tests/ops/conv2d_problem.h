// Convolutions of several maps against the double-precision oracle, for the tests of kernels that round operands: the
// oracle works on operands rounded as the kernel rounds them, so what is left is the rounding of sums.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "tests/ops/op_check.h"
#include "tests/reference/conv2d.h"
#include "tests/reference/rounding.h"

namespace tessera::testing_support {

using reference::ConvolutionCase;
using Values = std::vector<double>;

inline Values rounded(ConvMath math, const Values& values) {
  switch (math) {
    case ConvMath::fp32:
      return values;
    case ConvMath::tf32:
      return reference::rounded_to(reference::kTf32, values);
    case ConvMath::bf16:
      return reference::rounded_to(reference::kBfloat16, values);
    default:
      return reference::rounded_to(reference::kHalf, values);
  }
}

inline Values magnitudes(Values values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

// Maps with one window; each value of x, y lies where the maps say.
struct Problem {
  std::vector<ConvolutionCase> cases;

  const ConvolutionCase& any() const { return cases.front(); }
  Conv2dWindow window() const {
    return {any().in, any().out, any().window_height, any().window_width, any().stride, any().padding, any().groups};
  }
  std::vector<Conv2dMap> maps() const {
    std::vector<Conv2dMap> maps;
    int64_t in_row = 0, out_row = 0;
    for (const ConvolutionCase& at : cases) {
      maps.push_back({at.images, at.height, at.width, at.out_height(), at.out_width(), in_row, out_row});
      in_row += maps.back().in_rows();
      out_row += maps.back().out_rows();
    }
    return maps;
  }
  int64_t in_size() const { return maps().back().in_row * any().in + maps().back().in_rows() * any().in; }
  int64_t out_size() const { return maps().back().out_row * any().out + maps().back().out_rows() * any().out; }
  Values part(const Values& all, int64_t row, int64_t rows, int64_t channels) const {
    return {all.begin() + row * channels, all.begin() + (row + rows) * channels};
  }

  Values forward(const Values& x, const Values& weight) const {
    Values y;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Conv2dMap map = maps()[i];
      const Values of_map = reference::conv2d(cases[i], part(x, map.in_row, map.in_rows(), any().in), weight);
      y.insert(y.end(), of_map.begin(), of_map.end());
    }
    return y;
  }
  Values data_gradient(const Values& dy, const Values& weight) const {
    Values dx;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Conv2dMap map = maps()[i];
      const Values of_map =
          reference::conv2d_data_gradient(cases[i], part(dy, map.out_row, map.out_rows(), any().out), weight);
      dx.insert(dx.end(), of_map.begin(), of_map.end());
    }
    return dx;
  }
  Values weight_gradient(const Values& x, const Values& dy) const {
    Values dweight;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Conv2dMap map = maps()[i];
      const Values of_map = reference::conv2d_weight_gradient(cases[i], part(x, map.in_row, map.in_rows(), any().in),
                                                              part(dy, map.out_row, map.out_rows(), any().out));
      dweight.resize(of_map.size());
      for (size_t w = 0; w < of_map.size(); ++w) dweight[w] += of_map[w];
    }
    return dweight;
  }
};

// Share of sum |products| that the result may be wrong by, with `terms` products.
inline double bound_of(ConvMath math, int64_t terms) {
  const double sums = static_cast<double>(terms + 4) * 0x1p-24;
  // Half sums are rounded after every 16 products, and hold 32 at most.
  return math == ConvMath::fp16_accumulate_chunked ? sums + 2 * 0x1p-11 : sums;
}

inline void expect_near(const std::string& where, const std::vector<float>& computed, const Values& expected,
                        const Values& magnitude, double bound) {
  ASSERT_EQ(computed.size(), expected.size()) << where;
  int reported = 0;
  for (size_t i = 0; i < expected.size() && reported < 3; ++i) {
    if (!(std::abs(computed[i] - expected[i]) <= bound * magnitude[i])) {
      ADD_FAILURE() << where << ": [" << i << "] = " << computed[i] << ", expected " << expected[i];
      ++reported;
    }
  }
}

struct Operands {
  Values x, dy, weight;
  explicit Operands(const Problem& problem)
      : x(random_input({problem.in_size()}, 1).values),
        dy(random_input({problem.out_size()}, 2).values),
        weight(random_input({problem.window().weight_elements()}, 3).values) {}
};

inline Tensor upload(Context& context, const Values& values) {
  return Tensor::from_host<float>(context, {static_cast<int64_t>(values.size())},
                                  std::vector<float>(values.begin(), values.end()));
}

}  // namespace tessera::testing_support
