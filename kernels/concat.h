// Copies a block of columns: destination[r, 0:width] = source[r, 0:width]. Concatenation of channels and its backward.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct CopyColumnsArgs {
  const float* source;  // [rows, source_stride], at its first column
  float* destination;   // [rows, destination_stride], at its first column
  int64_t rows;
  int64_t width;               // columns copied
  int64_t source_stride;       // elements from row to row
  int64_t destination_stride;  // elements from row to row
};

TESSERA_KERNEL(copy_columns, CopyColumnsArgs);

}  // namespace tessera
