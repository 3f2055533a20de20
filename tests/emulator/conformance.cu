#include "tests/emulator/conformance.h"

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/tensor_core.h"
#include "kernels/cuda/warp.h"

namespace tessera::testing_support {

namespace {

__device__ float as_float(uint32_t bits) { return __uint_as_float(bits); }

template <typename Multiply>
__device__ void multiply_floats(const uint32_t* in, uint32_t* out, Multiply multiply) {
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = as_float(in[i]);
  const uint32_t a[4] = {in[4], in[5], in[6], in[7]}, b[2] = {in[8], in[9]};
  multiply(d, a, b);
  for (int i = 0; i < 4; ++i) out[i] = __float_as_uint(d[i]);
}

template <int matrices, bool transposed>
__device__ void load_matrices(const uint32_t* in, uint32_t* out) {
  SHARED(rows, uint32_t[32][4]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) rows[lane][i] = in[i];
  __syncwarp();
  uint32_t registers[matrices];
  ldmatrix<matrices, transposed>(registers, rows[(5 * lane + 3) % 32]);
  for (int i = 0; i < matrices; ++i) out[i] = registers[i];
}

template <int bytes>
__device__ void copy_words(const uint32_t* in, uint32_t* out, uint32_t* global) {
  SHARED(rows, uint32_t[32][4]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) {
    rows[lane][i] = 0xffffffffu;
    global[4 * lane + i] = in[i];
  }
  __syncwarp();
  copy_async<bytes>(rows[lane], global + 4 * lane, in[0] % 2 == 0);
  copy_async_commit();
  copy_async_wait<0>();
  for (int i = 0; i < 4; ++i) out[i] = rows[lane][i];
}

__global__ void wrapper_kernel(Wrapper wrapper, const uint32_t* inputs, uint32_t* outputs, uint32_t* global) {
  const int lane = static_cast<int>(threadIdx.x);
  const uint32_t* in = inputs + lane * kMostInputs;
  uint32_t* out = outputs + lane * kMostOutputs;
  switch (wrapper) {
    case Wrapper::mma_f16:
      multiply_floats(in, out, [](auto& d, const auto& a, const auto& b) { mma_m16n8k16<half>(d, a, b); });
      break;
    case Wrapper::mma_bf16:
      multiply_floats(in, out, [](auto& d, const auto& a, const auto& b) { mma_m16n8k16<bfloat16>(d, a, b); });
      break;
    case Wrapper::mma_tf32:
      multiply_floats(in, out, [](auto& d, const auto& a, const auto& b) { mma_m16n8k8_tf32(d, a, b); });
      break;
    case Wrapper::mma_f16_f16: {
      uint32_t d[2] = {in[0], in[1]};
      const uint32_t a[4] = {in[2], in[3], in[4], in[5]}, b[2] = {in[6], in[7]};
      mma_m16n8k16_half(d, a, b);
      out[0] = d[0];
      out[1] = d[1];
      break;
    }
    case Wrapper::ldmatrix_x1:
      load_matrices<1, false>(in, out);
      break;
    case Wrapper::ldmatrix_x2:
      load_matrices<2, false>(in, out);
      break;
    case Wrapper::ldmatrix_x4:
      load_matrices<4, false>(in, out);
      break;
    case Wrapper::ldmatrix_x1_transposed:
      load_matrices<1, true>(in, out);
      break;
    case Wrapper::ldmatrix_x2_transposed:
      load_matrices<2, true>(in, out);
      break;
    case Wrapper::ldmatrix_x4_transposed:
      load_matrices<4, true>(in, out);
      break;
    case Wrapper::copy_async_4:
      copy_words<4>(in, out, global);
      break;
    case Wrapper::copy_async_8:
      copy_words<8>(in, out, global);
      break;
    case Wrapper::copy_async_16:
      copy_words<16>(in, out, global);
      break;
    case Wrapper::to_tf32:
      out[0] = to_tf32(as_float(in[0]));
      break;
    case Wrapper::from_float:
      out[0] = pack2<half>(as_float(in[0]), 0.0f);
      out[1] = pack2<bfloat16>(as_float(in[0]), 0.0f);
      break;
    case Wrapper::pack2:
      out[0] = pack2<half>(as_float(in[0]), as_float(in[1]));
      out[1] = pack2<bfloat16>(as_float(in[0]), as_float(in[1]));
      break;
    case Wrapper::shuffle: {
      const uint32_t value = in[0];
      const int source = static_cast<int>(in[1] % 32);
      out[0] = __shfl_xor_sync(kWholeWarp, value, 13);
      out[1] = __shfl_sync(kWholeWarp, value, source);
      out[2] = __shfl_up_sync(kWholeWarp, value, 3);
      out[3] = __shfl_down_sync(kWholeWarp, value, 3);
      out[4] = __shfl_xor_sync(kWholeWarp, value, 9, 8);
      out[5] = __shfl_sync(kWholeWarp, value, source, 8);
      out[6] = __shfl_up_sync(kWholeWarp, value, 3, 8);
      out[7] = __shfl_down_sync(kWholeWarp, value, 3, 8);
      break;
    }
    case Wrapper::vote:
      out[0] = __ballot_sync(kWholeWarp, static_cast<int>(in[0] & 1));
      out[1] = static_cast<uint32_t>(__any_sync(kWholeWarp, static_cast<int>(in[0] & 1)) != 0);
      out[2] = static_cast<uint32_t>(__all_sync(kWholeWarp, static_cast<int>(in[0] & 1)) != 0);
      break;
    case Wrapper::count:
      break;
  }
}

}  // namespace

void run_wrapper(DeviceContext& context, Wrapper wrapper, const uint32_t* in, uint32_t* out) {
  const Scratch<uint32_t> global(context, 32 * 4);
  launch(wrapper_kernel, 1, 32, 0, context, wrapper, in, out, global.data());
}

}  // namespace tessera::testing_support
