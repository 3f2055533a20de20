// What a CudaContext holds beside its stream. Only for files that know the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "kernels/context.h"

namespace tessera {

struct CudaState {
  cudaStream_t copies = nullptr;         // transfers of staged memory
  cudaStream_t communication = nullptr;  // sums over GPUs; made when first used
  cudaEvent_t launched = nullptr, copied = nullptr;
  std::shared_ptr<void> cublas, cudnn;  // of kernels/cuda/cublas_product.cpp, cudnn_conv.cpp; made when first used
};

// Throws std::bad_alloc for want of memory, DeviceFailure for every other error.
void check_cuda(cudaError_t error, const char* what);

// The stream of the context. Chooses its GPU for the calling thread: a thread starts with the first one.
cudaStream_t stream_of(CudaContext& context);

// The stream for sums over GPUs, where they run beside the work of the context: what is given to it starts after the
// work given to the context so far, before work that waits for a place on the GPU. It is made here when first asked
// for.
cudaStream_t begin_communication(CudaContext& context);
// The context's work from here on starts after what the communication stream was given.
void end_communication(CudaContext& context);

}  // namespace tessera
