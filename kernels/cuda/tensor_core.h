// Tensor-core instructions of compute capability 8.0, with their PTX; in emulated builds the same on the CPU. All lanes
// of a warp call together. With g = lane / 4 and t = lane % 4, the fragments of one lane are (PTX ISA, "Matrix
// fragments for mma.m16n8k16" and "... m16n8k8"; two 16-bit values per register, lower column or row in the lower
// half):
//   A 16x16, 16 bit: a0 (g, 2t..2t+1)  a1 (g + 8, 2t..)  a2 (g, 2t + 8..)  a3 (g + 8, 2t + 8..)     (row, column)
//   B 16x8,  16 bit: b0 (2t..2t+1, g)  b1 (2t + 8.., g)
//   A 16x8,  tf32:   a0 (g, t)  a1 (g + 8, t)  a2 (g, t + 4)  a3 (g + 8, t + 4)
//   B 8x8,   tf32:   b0 (t, g)  b1 (t + 4, g)
//   C, D 16x8, f32:  d0 (g, 2t)  d1 (g, 2t + 1)  d2 (g + 8, 2t)  d3 (g + 8, 2t + 1);  f16: d0 holds two, d1 two
// Products are exact; the order and rounding of their sum are the hardware's own (the emulator sums in double), so
// results agree to a few units in the last place of the accumulator.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

#if defined(__CUDACC__)

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Two 16-bit values as one register, `low` in the lower half.
template <typename T>
__device__ __forceinline__ uint32_t pack2(float low, float high) {
  const T a = from_float<T>(low), b = from_float<T>(high);
  return uint32_t{reinterpret_cast<const uint16_t&>(a)} | uint32_t{reinterpret_cast<const uint16_t&>(b)} << 16;
}

// d += a b with 16-bit operands, T = half or bfloat16.
template <typename T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    static_assert(std::is_same_v<T, bfloat16>);
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
}

// d += a b with half operands and half accumulators.
__device__ __forceinline__ void mma_m16n8k16_half(uint32_t (&d)[2], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};"
               : "+r"(d[0]), "+r"(d[1])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// d += a b with operands rounded by to_tf32.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Loads 1, 2 or 4 matrices of 8x8 16-bit values from shared memory: lane 8 m + r names row r of matrix m (16 bytes,
// aligned; the other lanes' pointers are not used). Lane l gets of each the values (g, 2t..2t+1), transposed (2t..2t+1,
// g).
template <int matrices, bool transposed>
__device__ __forceinline__ void ldmatrix(uint32_t (&r)[matrices], const void* row) {
  static_assert(matrices == 1 || matrices == 2 || matrices == 4);
  const uint32_t address = shared_address(row);
  if constexpr (matrices == 1 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address) : "memory");
  } else if constexpr (matrices == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address) : "memory");
  } else if constexpr (matrices == 2 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (matrices == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (!transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
}

// Rounded to the 10 fraction bits of tf32, ties away from zero; the low 13 bits are zero.
__device__ __forceinline__ uint32_t to_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

#else

template <typename T>
uint32_t pack2(float low, float high) {
  return uint32_t{from_float<T>(low).bits} | uint32_t{from_float<T>(high).bits} << 16;
}

template <typename T>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], TESSERA_HERE) {
  static_assert(std::is_same_v<T, half> || std::is_same_v<T, bfloat16>);
  emulator::MatrixMultiplyArguments arguments{d, a, b};
  emulator::warp_collective(
      0xffffffffu, emulator::WarpOperation::matrix_multiply, &arguments,
      std::is_same_v<T, half> ? &emulator::finish_mma_m16n8k16_f16 : &emulator::finish_mma_m16n8k16_bf16, file_, line_);
}

inline void mma_m16n8k16_half(uint32_t (&d)[2], const uint32_t (&a)[4], const uint32_t (&b)[2], TESSERA_HERE) {
  emulator::MatrixMultiplyArguments arguments{d, a, b};
  emulator::warp_collective(0xffffffffu, emulator::WarpOperation::matrix_multiply, &arguments,
                            &emulator::finish_mma_m16n8k16_f16_f16, file_, line_);
}

inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], TESSERA_HERE) {
  emulator::MatrixMultiplyArguments arguments{d, a, b};
  emulator::warp_collective(0xffffffffu, emulator::WarpOperation::matrix_multiply, &arguments,
                            &emulator::finish_mma_m16n8k8_tf32, file_, line_);
}

template <int matrices, bool transposed>
void ldmatrix(uint32_t (&r)[matrices], const void* row, TESSERA_HERE) {
  static_assert(matrices == 1 || matrices == 2 || matrices == 4);
  emulator::MatrixLoadArguments arguments{r, {}};
  if (emulator::lane() < 8 * matrices) {
    emulator::check_aligned(row, 16, "ldmatrix", file_, line_);
    // The lane reads its own row, here, where the sanitizers see it.
    for (int i = 0; i < 8; ++i) arguments.row[i] = static_cast<const uint16_t*>(row)[i];
  }
  emulator::warp_collective(0xffffffffu, emulator::WarpOperation::matrix_load, &arguments,
                            &emulator::finish_ldmatrix<matrices, transposed>, file_, line_);
}

inline uint32_t to_tf32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffffffu;
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
}

#endif

}  // namespace TESSERA_PORT
}  // namespace tessera
