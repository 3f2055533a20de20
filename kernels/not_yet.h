// Entry points that exist on the CPU only, until their CUDA kernel is written.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace tessera {

class KernelNotYet : public std::runtime_error {
 public:
  explicit KernelNotYet(const char* kernel)
      : std::runtime_error(std::string(kernel) + ": this kernel is not written for CUDA yet"), kernel_(kernel) {}

  const char* kernel() const { return kernel_; }

 private:
  const char* kernel_;
};

// Names of the entry points in kernels/not_yet.inc.
std::vector<const char*> kernels_not_yet_on_devices();

}  // namespace tessera
