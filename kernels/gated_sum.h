// Residual branches behind learned scalar gates (ReZero: Bachlechner et al., "ReZero is All You Need", 2020):
//     y = x + sum over branches b of g_b * f_b
//     df_b = g_b * dy,   dg_b = sum over all elements of dy * f_b
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

inline constexpr int kMaxGatedBranches = 4;

struct GatedSumForwardArgs {
  const float* x;                            // [count]
  const float* gates[kMaxGatedBranches];     // [1] each
  const float* branches[kMaxGatedBranches];  // [count] each
  float* y;                                  // [count]
  int64_t count;
  int branch_count;
};

// Of one branch.
struct GatedSumBackwardArgs {
  const float* gate;    // [1]
  const float* branch;  // [count], nullptr: dgate is not wanted
  const float* dy;      // [count]
  float* dbranch;       // [count], nullptr: not wanted
  float* dgate;         // [1], nullptr: not wanted
  int64_t count;
};

TESSERA_KERNEL(gated_sum_forward, GatedSumForwardArgs);
TESSERA_KERNEL(gated_sum_backward, GatedSumBackwardArgs);

}  // namespace tessera
