// `tessera bench ops --check-only`: the results of every op on a device beside those of the CPU backend.
#pragma once

#include <string>
#include <vector>

#include "apps/op_checks.h"

namespace tessera {

struct OpComparison {
  std::string name;
  int64_t values = 0;         // compared
  double share_of_bound = 0;  // largest difference over what rounding allows; above 1: wrong. Infinite: not a number
  std::string where;          // the tensor of the largest difference
  std::string error;          // what the device threw

  bool agrees() const { return error.empty() && share_of_bound <= 1; }
};

// Both compute sums of K rounded terms, each in its own order: a value may differ by 16 sqrt(K) 2^-24 of the largest
// value of its tensor. What is counted, ordered or packed must be equal.
OpComparison compare_op(const OpCheck& check, Context& cpu, Context& device);

void print_comparisons(const std::vector<OpComparison>& comparisons, const std::string& device);
std::string comparisons_json(const std::vector<OpComparison>& comparisons, const std::string& device);

}  // namespace tessera
