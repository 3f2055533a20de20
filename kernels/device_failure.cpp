#include "kernels/device_failure.h"

#include <cstdlib>

namespace tessera {

namespace {

constexpr int kLeastCapability = 80;  // cp.async and products of bf16 came with it

std::string cuda_version(int version) {
  return "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string tenths_of_gib(size_t bytes) {
  const size_t tenths = bytes / (size_t{1} << 30) * 10 + bytes % (size_t{1} << 30) * 10 / (size_t{1} << 30);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

}  // namespace

DeviceOutOfMemory::DeviceOutOfMemory(size_t wanted, size_t free, size_t total)
    : message_("out of memory of the GPU: " + tenths_of_gib(wanted) + " more wanted, " + tenths_of_gib(free) + " of " +
               tenths_of_gib(total) + " free") {}

void throw_cuda_failure(const std::string& what, const char* reason) {
  throw DeviceFailure(what + ": " + reason,
                      "the same with CUDA_LAUNCH_BLOCKING=1 names the launch, under compute-sanitizer the line");
}

bool has_code_for(std::string_view architectures, int major, int minor) {
  const int capability = 10 * major + minor;
  int last = 0;
  while (!architectures.empty()) {
    const size_t end = architectures.find(';');
    last = std::atoi(std::string(architectures.substr(0, end)).c_str());
    if (last / 10 == major && last <= capability) return true;
    architectures = end == std::string_view::npos ? "" : architectures.substr(end + 1);
  }
  return last > 0 && capability >= last;
}

std::optional<DeviceFailure> explain_cuda(const CudaFacts& facts) {
  if (facts.driver_version == 0)
    return DeviceFailure("no GPU driver found", "install NVIDIA's driver, or --device cpu");
  if (facts.driver_version / 1000 < facts.runtime_version / 1000) {
    return DeviceFailure("the GPU driver runs " + cuda_version(facts.driver_version) + ", this program needs " +
                             cuda_version(facts.runtime_version),
                         "update NVIDIA's driver, or --device cpu");
  }
  if (facts.gpus == 0) {
    return DeviceFailure(
        facts.refusal.empty() ? "the driver shows no GPU" : "the driver shows no GPU: " + std::string(facts.refusal),
        "nvidia-smi (and CUDA_VISIBLE_DEVICES), or --device cpu");
  }
  if (facts.index >= facts.gpus) {
    return DeviceFailure(facts.gpus == 1 ? "there is one GPU, cuda:0"
                                         : "there are " + std::to_string(facts.gpus) + " GPUs, counted from 0",
                         "--device cuda:0");
  }
  if (has_code_for(facts.architectures, facts.major, facts.minor)) return std::nullopt;
  const int capability = 10 * facts.major + facts.minor;
  const std::string gpu =
      facts.name + " (compute capability " + std::to_string(facts.major) + "." + std::to_string(facts.minor) + ")";
  if (capability < kLeastCapability) {
    return DeviceFailure(gpu + " is too old: 8.0 is needed", "--device cpu");
  }
  return DeviceFailure("this program has no code for " + gpu + ", only for " + std::string(facts.architectures),
                       "make CUDA_ARCH=" + std::to_string(capability) + ", or --device cpu");
}

}  // namespace tessera
