#include "kernels/cuda/libraries.h"

#include <dlfcn.h>

#include "kernels/cuda/cublas_product.h"
#include "kernels/cuda/cudnn_conv.h"

namespace tessera {

SharedLibrary::SharedLibrary(std::initializer_list<std::string> names) {
  std::string reason = "no name";
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    reason = dlerror();
  }
  throw LibraryRefused(reason);
}

void* SharedLibrary::address(const char* name) const {
  void* function = dlsym(handle_, name);
  if (function == nullptr) throw LibraryRefused(std::string("no function ") + name);
  return function;
}

std::vector<LibraryFact> find_cuda_libraries() {
  const auto fact = [](const char* name, bool built_in, std::string (*version)()) {
    LibraryFact found{name, built_in, ""};
    if (!built_in) return found;
    try {
      found.state = version();
    } catch (const LibraryRefused& refused) {
      found.state = refused.what();
    }
    return found;
  };
  return {fact("cuBLAS", has_cublas(), cublas_version), fact("cuDNN", has_cudnn(), cudnn_version)};
}

}  // namespace tessera
