// CUDA's vector types for builds without NVIDIA's headers: same names, layouts and alignments.
#pragma once

namespace tessera {
inline namespace emulated_port {

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define TESSERA_VECTOR_2(Name, Element, bytes) \
  struct alignas(bytes) Name {                 \
    Element x, y;                              \
  };                                           \
  constexpr Name make_##Name(Element x, Element y) { return {x, y}; }
#define TESSERA_VECTOR_4(Name, Element, bytes) \
  struct alignas(bytes) Name {                 \
    Element x, y, z, w;                        \
  };                                           \
  constexpr Name make_##Name(Element x, Element y, Element z, Element w) { return {x, y, z, w}; }

TESSERA_VECTOR_2(float2, float, 8)
TESSERA_VECTOR_4(float4, float, 16)
TESSERA_VECTOR_2(double2, double, 16)
TESSERA_VECTOR_2(int2, int, 8)
TESSERA_VECTOR_4(int4, int, 16)
TESSERA_VECTOR_2(uint2, unsigned, 8)
TESSERA_VECTOR_4(uint4, unsigned, 16)
TESSERA_VECTOR_2(ushort2, unsigned short, 4)
TESSERA_VECTOR_4(ushort4, unsigned short, 8)
TESSERA_VECTOR_2(uchar2, unsigned char, 2)
TESSERA_VECTOR_4(uchar4, unsigned char, 4)
TESSERA_VECTOR_2(longlong2, long long, 16)

#undef TESSERA_VECTOR_2
#undef TESSERA_VECTOR_4

}  // namespace emulated_port
}  // namespace tessera
