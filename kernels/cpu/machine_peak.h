// What the machine can do at best, measured by the program itself: the yardstick of every benchmark.
#pragma once

#include "kernels/context.h"

namespace tessera {

// Fused multiply-adds of f32 registers that depend on nothing but themselves, all threads of the context at once, a few
// milliseconds each; 1e9 floating point operations per second (two per multiply-add): the sum of what each thread
// reached by itself, the best of `rounds`.
double measure_fma_peak(CpuContext& context, int rounds = 5);

// The same of the instructions that the convolutions in bf16 use here (best_bf16_path); measure_fma_peak where that is
// portable code.
double measure_bf16_peak(CpuContext& context, int rounds = 5);

// Bytes read plus bytes written by copying an array much larger than the caches; 1e9 bytes per second, best of rounds.
double measure_copy_bandwidth(CpuContext& context, int rounds = 5);

}  // namespace tessera
