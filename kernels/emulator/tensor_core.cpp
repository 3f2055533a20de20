// The arithmetic behind kernels/cuda/tensor_core.h: fragments of 32 lanes are put together to matrices, multiplied, and
// taken apart again.
#include <bit>
#include <cstdint>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/float16.h"

namespace tessera::emulator {

namespace {

constexpr int kRows = 16, kColumns = 8;

float half_of(uint32_t pair, int which) { return to_float(half{static_cast<uint16_t>(pair >> (16 * which))}); }
float bfloat16_of(uint32_t pair, int which) { return to_float(bfloat16{static_cast<uint16_t>(pair >> (16 * which))}); }
// The hardware reads 19 bits of a tf32 operand.
float tf32_of(uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000u); }

const MatrixMultiplyArguments& of_lane(void* const* arguments, int lane) {
  return *static_cast<const MatrixMultiplyArguments*>(arguments[lane]);
}

template <int depth>
struct Operands {
  float a[kRows][depth];
  float b[depth][kColumns];

  // Products of these types are exact in float, their sum nearly so in double.
  double dot(int row, int column) const {
    double sum = 0;
    for (int k = 0; k < depth; ++k) sum += static_cast<double>(a[row][k]) * b[k][column];
    return sum;
  }
};

Operands<16> operands_of_pairs(void* const* arguments, float (*value)(uint32_t, int)) {
  Operands<16> operands;
  for (int lane = 0; lane < 32; ++lane) {
    const MatrixMultiplyArguments& fragment = of_lane(arguments, lane);
    const int g = lane / 4, t = lane % 4;
    for (int which = 0; which < 2; ++which) {
      for (int i = 0; i < 4; ++i) {
        operands.a[g + 8 * (i % 2)][2 * t + which + 8 * (i / 2)] = value(fragment.a[i], which);
      }
      for (int i = 0; i < 2; ++i) operands.b[2 * t + which + 8 * i][g] = value(fragment.b[i], which);
    }
  }
  return operands;
}

template <int depth>
void accumulate_float(const Operands<depth>& operands, void* const* arguments) {
  for (int lane = 0; lane < 32; ++lane) {
    float* d = static_cast<float*>(of_lane(arguments, lane).d);
    for (int i = 0; i < 4; ++i) {
      d[i] = static_cast<float>(d[i] + operands.dot(lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2));
    }
  }
}

}  // namespace

void finish_mma_m16n8k16_f16(void* const* arguments, unsigned) {
  accumulate_float(operands_of_pairs(arguments, &half_of), arguments);
}

void finish_mma_m16n8k16_bf16(void* const* arguments, unsigned) {
  accumulate_float(operands_of_pairs(arguments, &bfloat16_of), arguments);
}

void finish_mma_m16n8k16_f16_f16(void* const* arguments, unsigned) {
  const Operands<16> operands = operands_of_pairs(arguments, &half_of);
  for (int lane = 0; lane < 32; ++lane) {
    uint32_t* d = static_cast<uint32_t*>(of_lane(arguments, lane).d);
    for (int i = 0; i < 2; ++i) {
      uint32_t pair = 0;
      for (int which = 0; which < 2; ++which) {
        const double sum = half_of(d[i], which) + operands.dot(lane / 4 + 8 * i, 2 * (lane % 4) + which);
        pair |= uint32_t{from_float<half>(static_cast<float>(sum)).bits} << (16 * which);
      }
      d[i] = pair;
    }
  }
}

void finish_mma_m16n8k8_tf32(void* const* arguments, unsigned) {
  Operands<8> operands;
  for (int lane = 0; lane < 32; ++lane) {
    const MatrixMultiplyArguments& fragment = of_lane(arguments, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) operands.a[g + 8 * (i % 2)][t + 4 * (i / 2)] = tf32_of(fragment.a[i]);
    for (int i = 0; i < 2; ++i) operands.b[t + 4 * i][g] = tf32_of(fragment.b[i]);
  }
  accumulate_float(operands, arguments);
}

template <int matrices, bool transposed>
void finish_ldmatrix(void* const* arguments, unsigned) {
  const auto row_of = [&](int matrix, int row) {
    return static_cast<const MatrixLoadArguments*>(arguments[8 * matrix + row])->row;
  };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& own = *static_cast<const MatrixLoadArguments*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int matrix = 0; matrix < matrices; ++matrix) {
      const uint16_t low = transposed ? row_of(matrix, 2 * t)[g] : row_of(matrix, g)[2 * t];
      const uint16_t high = transposed ? row_of(matrix, 2 * t + 1)[g] : row_of(matrix, g)[2 * t + 1];
      own.registers[matrix] = uint32_t{low} | uint32_t{high} << 16;
    }
  }
}
template void finish_ldmatrix<1, false>(void* const*, unsigned);
template void finish_ldmatrix<1, true>(void* const*, unsigned);
template void finish_ldmatrix<2, false>(void* const*, unsigned);
template void finish_ldmatrix<2, true>(void* const*, unsigned);
template void finish_ldmatrix<4, false>(void* const*, unsigned);
template void finish_ldmatrix<4, true>(void* const*, unsigned);

void check_aligned(const void* address, size_t bytes, const char* what, const char* file, int line) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    report_failure(std::string("misaligned address for ") + what + ": not a multiple of " + std::to_string(bytes), file,
                   line);
    abandon_launch();
  }
}

}  // namespace tessera::emulator
