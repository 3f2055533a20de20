#include "engine/core/device.h"

#include <charconv>
#include <cstdlib>

#include "engine/core/dispatch.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_failure.h"

namespace tessera {

std::string Device::to_string() const {
  return backend == Backend::cuda ? fmt::format("cuda:{}", index) : backend_name(backend);
}

std::optional<DeviceFailure> unused_gpu() {
#if TESSERA_CUDA
  return explain_cuda(find_cuda_facts(0));
#else
  return DeviceFailure("this build has no code for GPUs", "make cuda (with a CUDA toolkit)");
#endif
}

namespace {

// A GPU, where there is one and every kernel is written for it.
Device best_device() {
  if (kernels_not_yet_on_devices().empty() && !unused_gpu()) return {Backend::cuda, 0};
  return {Backend::cpu, 0};
}

}  // namespace

Device parse_device(std::string_view text) {
  if (text == "auto") return best_device();
  if (text == "cpu") return {Backend::cpu, 0};
  if (text == "emulated") return {Backend::emulated, 0};
  if (text == "cuda") return {Backend::cuda, 0};
  if (text.starts_with("cuda:")) {
    const std::string_view number = text.substr(5);
    int index = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (error == std::errc() && end == number.data() + number.size() && index >= 0) return {Backend::cuda, index};
  }
  throw Error(ExitCode::usage, fmt::format("device '{}': not one of auto, cpu, cuda, cuda:N, emulated", text),
              "--device auto");
}

namespace {

std::unique_ptr<Context> make_cuda_context([[maybe_unused]] int index) {
#if TESSERA_CUDA
  try {
    return std::make_unique<CudaContext>(index);
  } catch (const DeviceFailure& failure) {
    throw Error(ExitCode::device, fmt::format("device 'cuda:{}': {}", index, failure.what()), failure.cure());
  }
#else
  throw Error(ExitCode::device, fmt::format("device 'cuda:{}': this build has no such backend", index),
              "make cuda (with a CUDA toolkit), or --device cpu");
#endif
}

}  // namespace

EmulatorSchedule parse_emulator_schedule(std::string_view text) {
  if (text.empty() || text == "forward") return EmulatorSchedule::forward();
  if (text == "shuffled") return EmulatorSchedule::shuffled();
  if (text.starts_with("shuffled:")) {
    const std::string_view number = text.substr(9);
    uint64_t seed = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seed);
    if (error == std::errc() && end == number.data() + number.size()) return EmulatorSchedule::shuffled(seed);
  }
  throw Error(ExitCode::usage, fmt::format("TESSERA_EMULATOR '{}': not one of forward, shuffled, shuffled:SEED", text),
              "TESSERA_EMULATOR=shuffled");
}

std::unique_ptr<Context> make_context(const Device& device, int threads) {
  switch (device.backend) {
    case Backend::cpu:
      return std::make_unique<CpuContext>(threads);
    case Backend::plan:
      return std::make_unique<PlanContext>();
    case Backend::emulated: {
      const char* schedule = std::getenv("TESSERA_EMULATOR");
      return std::make_unique<EmulatedContext>(parse_emulator_schedule(schedule != nullptr ? schedule : ""));
    }
    case Backend::cuda:
      return make_cuda_context(device.index);
  }
  throw Error(ExitCode::internal, "no such backend");
}

}  // namespace tessera
