#include "kernels/occupancy.h"

#include <cuda_occupancy.h>

#include <stdexcept>

namespace tessera {

namespace {

constexpr KernelResources kKernels[] = {
#define RESOURCES(kernel, registers, static_bytes, dynamic_bytes, threads) \
  {kernel, registers, static_bytes + dynamic_bytes, threads},
#include "kernels/cuda/occupancy.inc"
#undef RESOURCES
};

// A multiprocessor of compute capability 8.6, from the tables of the CUDA programming guide.
cudaOccDeviceProp multiprocessor() {
  cudaOccDeviceProp properties;
  properties.computeMajor = 8;
  properties.computeMinor = 6;
  properties.maxThreadsPerBlock = 1024;
  properties.maxThreadsPerMultiprocessor = 1536;
  properties.regsPerBlock = properties.regsPerMultiprocessor = 65536;
  properties.warpSize = 32;
  properties.sharedMemPerBlock = 48 << 10;
  properties.sharedMemPerMultiprocessor = 100 << 10;
  properties.sharedMemPerBlockOptin = 99 << 10;
  properties.reservedSharedMemPerBlock = 1 << 10;
  properties.numSms = 1;
  return properties;
}

const char* limit_name(unsigned limits) {
  if ((limits & OCC_LIMIT_REGISTERS) != 0) return "registers";
  if ((limits & OCC_LIMIT_SHARED_MEMORY) != 0) return "shared memory";
  return (limits & OCC_LIMIT_WARPS) != 0 ? "warps" : "blocks";
}

}  // namespace

KernelOccupancy predict_occupancy(const KernelResources& resources) {
  const cudaOccDeviceProp properties = multiprocessor();
  cudaOccFuncAttributes attributes{};
  attributes.maxThreadsPerBlock = resources.threads;
  attributes.numRegs = resources.registers;
  attributes.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  attributes.maxDynamicSharedSizeBytes = static_cast<size_t>(resources.shared_bytes);
  attributes.numBlockBarriers = 1;
  const cudaOccDeviceState state{};
  cudaOccResult result{};
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &properties, &attributes, &state, resources.threads,
                                              static_cast<size_t>(resources.shared_bytes)) != CUDA_OCC_SUCCESS) {
    throw std::invalid_argument(std::string(resources.kernel) + ": no launch may have these resources");
  }
  const int blocks = result.activeBlocksPerMultiprocessor, warps = (resources.threads + 31) / 32;
  return {resources, blocks, static_cast<double>(blocks * warps * 32) / properties.maxThreadsPerMultiprocessor,
          limit_name(result.limitingFactors)};
}

std::vector<KernelOccupancy> predict_occupancies() {
  std::vector<KernelOccupancy> occupancies;
  for (const KernelResources& resources : kKernels) occupancies.push_back(predict_occupancy(resources));
  return occupancies;
}

}  // namespace tessera
