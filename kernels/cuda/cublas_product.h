// Matrix products by cuBLAS.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/context.h"

namespace tessera {

// Row-major matrices, `batch` of them at equal distances (in elements):
//   c [rows, columns] = a [rows, depth] b [columns, depth]^T     or, summed_first,
//   c [rows, columns] = a [depth, rows]^T b [depth, columns]
// a, b: f32 for fp32 and tf32, else in the 16 bits of the precision; c: f32, overwritten; sums in f32.
struct CublasProduct {
  const void* a;
  const void* b;
  float* c;
  int64_t rows, columns, depth;  // each below 2^31
  ConvMath math;
  bool summed_first = false;
  int64_t batch = 1;
  int64_t a_distance = 0, b_distance = 0, c_distance = 0;
};

// Whether this build knows cuBLAS.
bool has_cublas();
// "13.0.2" of the library that is opened. Throws LibraryRefused.
std::string cublas_version();
// The same bits in every run on one card. Throws LibraryRefused where there is no cuBLAS and for
// fp16_accumulate_chunked, CaptureRefused when the first product of a context is to be recorded.
void cublas_product(CudaContext& context, const CublasProduct& product);

}  // namespace tessera
