#include "kernels/cuda/cublas_product.h"

#include "kernels/cuda/libraries.h"

#if TESSERA_CUBLAS
#include <cublas_v2.h>

#include <memory>

#include "kernels/cuda/state.h"
#include "kernels/launch_graph.h"
#endif

namespace tessera {

#if TESSERA_CUBLAS

namespace {

constexpr size_t kWorkspace = size_t{32} << 20;  // what NVIDIA advises for the largest cards

struct Cublas {
  SharedLibrary library{"libcublas.so." + std::to_string(CUBLAS_VER_MAJOR),
                        TESSERA_CUBLAS_FOLDER "/libcublas.so." + std::to_string(CUBLAS_VER_MAJOR)};
  decltype(cublasCreate_v2)* create;
  decltype(cublasDestroy_v2)* destroy;
  decltype(cublasSetStream_v2)* set_stream;
  decltype(cublasSetWorkspace_v2)* set_workspace;
  decltype(cublasGetProperty)* get_property;
  // The header declares two of this name: for C, and with the former compute types for C++.
  cublasStatus_t (*gemm)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*, const void*,
                         cudaDataType, int, long long, const void*, cudaDataType, int, long long, const void*, void*,
                         cudaDataType, int, long long, int, cublasComputeType_t, cublasGemmAlgo_t);

  Cublas() {
    library.find("cublasCreate_v2", create);
    library.find("cublasDestroy_v2", destroy);
    library.find("cublasSetStream_v2", set_stream);
    library.find("cublasSetWorkspace_v2", set_workspace);
    library.find("cublasGetProperty", get_property);
    library.find("cublasGemmStridedBatchedEx", gemm);
  }
};

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw LibraryRefused("cuBLAS: " + std::string(what) + ": status " + std::to_string(static_cast<int>(status)));
}

// Of a context, made with its first product. With memory of its own cuBLAS takes none while launches are recorded, and
// gives the same bits in every run.
struct CublasHandle {
  Cublas cublas;
  cublasHandle_t handle = nullptr;
  std::shared_ptr<Allocator> allocator;
  void* workspace;

  explicit CublasHandle(CudaContext& context) : allocator(context.lasting_allocator()) {
    workspace = allocator->allocate(kWorkspace, "cublas");
    const cublasStatus_t created = cublas.create(&handle);
    if (created != CUBLAS_STATUS_SUCCESS) allocator->release(workspace, kWorkspace, "cublas");
    check(created, "a handle");
  }
  ~CublasHandle() {
    cublas.destroy(handle);
    allocator->release(workspace, kWorkspace, "cublas");
  }
  CublasHandle(const CublasHandle&) = delete;
  CublasHandle& operator=(const CublasHandle&) = delete;
};

CublasHandle& handle_of(CudaContext& context) {
  std::shared_ptr<void>& held = context.state().cublas;
  if (held == nullptr) {
    if (context.capturing()) throw CaptureRefused("cuBLAS is opened");
    stream_of(context);  // chooses the GPU
    held = std::make_shared<CublasHandle>(context);
  }
  return *static_cast<CublasHandle*>(held.get());
}

struct Types {
  cudaDataType operand;
  cublasComputeType_t compute;
};

Types types_of(ConvMath math) {
  switch (math) {
    case ConvMath::fp32:
      return {CUDA_R_32F, CUBLAS_COMPUTE_32F};
    case ConvMath::tf32:
      return {CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32};
    case ConvMath::bf16:
      return {CUDA_R_16BF, CUBLAS_COMPUTE_32F};
    case ConvMath::fp16:
      return {CUDA_R_16F, CUBLAS_COMPUTE_32F};
    case ConvMath::fp16_accumulate_chunked:
      break;
  }
  throw LibraryRefused("cuBLAS has no sums of 32 products in half");
}

}  // namespace

bool has_cublas() { return true; }

std::string cublas_version() {
  const Cublas cublas;
  int major = 0, minor = 0, patch = 0;
  check(cublas.get_property(MAJOR_VERSION, &major), "its version");
  check(cublas.get_property(MINOR_VERSION, &minor), "its version");
  check(cublas.get_property(PATCH_LEVEL, &patch), "its version");
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

void cublas_product(CudaContext& context, const CublasProduct& product) {
  const Types types = types_of(product.math);
  if (product.rows == 0 || product.columns == 0 || product.batch == 0) return;
  CublasHandle& handle = handle_of(context);
  check(handle.cublas.set_stream(handle.handle, stream_of(context)), "the stream");
  check(handle.cublas.set_workspace(handle.handle, handle.workspace, kWorkspace), "its memory");
  // cuBLAS counts down columns: row-major c is its transpose, so b comes first.
  const auto rows = static_cast<int>(product.rows), columns = static_cast<int>(product.columns),
             depth = static_cast<int>(product.depth);
  const float one = 1, zero = 0;
  const bool first = product.summed_first;
  check(handle.cublas.gemm(handle.handle, first ? CUBLAS_OP_N : CUBLAS_OP_T, first ? CUBLAS_OP_T : CUBLAS_OP_N, columns,
                           rows, depth, &one, product.b, types.operand, first ? columns : depth, product.b_distance,
                           product.a, types.operand, first ? rows : depth, product.a_distance, &zero, product.c,
                           CUDA_R_32F, columns, product.c_distance, static_cast<int>(product.batch), types.compute,
                           CUBLAS_GEMM_DEFAULT),
        "a product");
}

#else

bool has_cublas() { return false; }
std::string cublas_version() { throw LibraryRefused("cuBLAS is not part of this build"); }
void cublas_product(CudaContext&, const CublasProduct&) { throw LibraryRefused("cuBLAS is not part of this build"); }

#endif

}  // namespace tessera
