#include "engine/core/device.h"

#include <charconv>

#include "engine/core/error.h"

namespace tessera {

std::string Device::to_string() const {
  return backend == Backend::cuda ? fmt::format("cuda:{}", index) : backend_name(backend);
}

Device parse_device(std::string_view text) {
  if (text == "auto" || text == "cpu") return {Backend::cpu, 0};
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

std::unique_ptr<Context> make_context(const Device& device, int threads) {
  switch (device.backend) {
    case Backend::cpu:
      return std::make_unique<CpuContext>(threads);
    case Backend::plan:
      return std::make_unique<PlanContext>();
    case Backend::cuda:
    case Backend::emulated:
      break;
  }
  throw Error(ExitCode::device, fmt::format("device '{}': this build has no such backend", device.to_string()),
              "--device cpu");
}

}  // namespace tessera
