#include "kernels/context.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/onednn.h"

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

CpuContext::CpuContext(int threads)
    : Context(Backend::cpu, make_host_allocator()), threads_(threads > 0 ? threads : omp_get_max_threads()) {
  omp_set_num_threads(threads_);  // oneDNN sizes its loops by this
}

CpuContext::~CpuContext() = default;

OneDnn& CpuContext::onednn() {
  if (!onednn_) onednn_ = std::make_unique<OneDnn>();
  return *onednn_;
}

}  // namespace tessera
