// What a CudaContext holds beside its stream. Only for files that know the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "kernels/context.h"

namespace tessera {

struct CudaState {
  cudaStream_t copies = nullptr;  // transfers of staged memory
  cudaEvent_t launched = nullptr, copied = nullptr;
  std::shared_ptr<void> cublas, cudnn;  // of kernels/cuda/cublas_product.cpp, cudnn_conv.cpp; made when first used
};

// Throws std::bad_alloc for want of memory, std::runtime_error for every other error.
void check_cuda(cudaError_t error, const char* what);

// The stream of the context. Chooses its GPU for the calling thread: a thread starts with the first one.
cudaStream_t stream_of(CudaContext& context);

}  // namespace tessera
