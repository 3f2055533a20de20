// Where tensors live and kernels run, as a user names it: cpu, cuda:N, emulated.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/context.h"
#include "kernels/device_failure.h"

namespace tessera {

struct Device {
  Backend backend = Backend::cpu;
  int index = 0;  // of the GPU; 0 elsewhere

  std::string to_string() const;
  bool operator==(const Device&) const = default;
};

// "auto", "cpu", "cuda", "cuda:N", "emulated"; auto is the best device this build and machine offer.
// Throws Error(usage) for anything else.
Device parse_device(std::string_view text);

// Why "auto" uses no GPU here; nothing where the first one can be used.
std::optional<DeviceFailure> unused_gpu();

// Order of the emulated threads: "" or "forward", "shuffled", "shuffled:SEED". Throws Error(usage) for anything else.
EmulatorSchedule parse_emulator_schedule(std::string_view text);

// threads: of the CPU backend, 0 = all cores. The emulated backend takes its schedule from TESSERA_EMULATOR. Throws
// Error(device) when this build or machine has no such device.
std::unique_ptr<Context> make_context(const Device& device, int threads = 0);

}  // namespace tessera
