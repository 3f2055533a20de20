#include "kernels/context.h"

#include <omp.h>

namespace tessera {

const char* backend_name(Backend backend) {
  switch (backend) {
    case Backend::cpu:
      return "cpu";
    case Backend::cuda:
      return "cuda";
    case Backend::emulated:
      return "emulated";
    case Backend::plan:
      return "plan";
  }
  return "unknown";
}

CpuContext::CpuContext(int threads, std::shared_ptr<Allocator> allocator)
    : Context(Backend::cpu, std::move(allocator)), threads_(threads > 0 ? threads : omp_get_max_threads()) {}

}  // namespace tessera
