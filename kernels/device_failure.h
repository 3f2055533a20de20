// What keeps a program from its GPU, told apart by what its user can do about it. The runtime's answers go in as plain
// numbers, so that every sentence is tested on machines without a GPU.
#pragma once

#include <cstddef>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace tessera {

// what() is one line; cure() one thing to try.
class DeviceFailure : public std::runtime_error {
 public:
  DeviceFailure(const std::string& message, std::string cure) : std::runtime_error(message), cure_(std::move(cure)) {}
  const std::string& cure() const { return cure_; }

 private:
  std::string cure_;
};

// The memory of a GPU is used up.
class DeviceOutOfMemory : public std::bad_alloc {
 public:
  DeviceOutOfMemory(size_t wanted, size_t free, size_t total);
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// A launch or a call of the runtime that failed where a working program never fails.
[[noreturn]] void throw_cuda_failure(const std::string& what, const char* reason);

// What a build was made with and what it meets. Versions as CUDA numbers them: 12040 is CUDA 12.4.
struct CudaFacts {
  int runtime_version = 0;              // of the build
  int driver_version = 0;               // the newest CUDA that the driver runs; 0: no driver
  int gpus = 0;                         // that the driver shows
  int index = 0;                        // of the GPU asked for
  std::string name;                     // of that GPU
  int major = 0, minor = 0;             // its compute capability
  std::string_view architectures = "";  // that the build has code for, as in CUDA_ARCH: "86;89;90"
  std::string_view refusal = "";        // of the runtime, in its words, where it found no GPU for another reason
};

// Nothing where the GPU can be used.
std::optional<DeviceFailure> explain_cuda(const CudaFacts& facts);

// Machine code runs on its own major version from its minor one on; beside it lies PTX of the last architecture, for
// everything newer.
bool has_code_for(std::string_view architectures, int major, int minor);

}  // namespace tessera
