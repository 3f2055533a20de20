// What `tessera doctor` finds out: facts about build and machine, and checks with a cure for each that fails. The verb
// itself, run_doctor, is declared in apps/verbs.h.
#pragma once

#include <string>
#include <vector>

#include "apps/machine.h"
#include "kernels/cpu/bf16.h"
#include "kernels/device_failure.h"

namespace tessera {

enum class CheckStatus : uint8_t { ok, warning, failed };

struct DoctorCheck {
  std::string name;  // "processor", "memory", ...
  CheckStatus status = CheckStatus::ok;
  std::string message;
  std::string cure;  // one line; of warnings and failures
};

struct BackendFact {
  std::string name;  // cpu, cuda, emulated
  bool available = false;
  std::string reason;  // why it is not available
  std::vector<std::string> missing_kernels;
};

struct Diagnosis {
  std::string compiler;
  Processor processor;
  Memory memory;
  Disk disk;
  std::optional<std::string> gpu_driver;
  std::vector<BackendFact> backends;
  std::vector<LoadedLibrary> libraries;
  std::string device;  // what "auto" or the device asked for comes to
  int threads = 0;
  std::vector<DoctorCheck> checks;
};

// device: as given with --device; threads: 0 = all cores.
Diagnosis diagnose(const std::string& device, int threads, const std::filesystem::path& folder);

// The judgements alone, on facts that may be made up.
DoctorCheck check_processor(const Processor& processor, const std::vector<std::string>& compiled_for);
DoctorCheck check_threads(const Processor& processor, int threads);
DoctorCheck check_memory(const Memory& memory);
DoctorCheck check_disk(const Disk& disk);
DoctorCheck check_gpu(const std::optional<DeviceFailure>& unused);
DoctorCheck check_bf16(Bf16Path path);  // the one that --precision bf16 takes on the CPU

bool healthy(const Diagnosis& diagnosis);  // nothing failed; warnings are allowed
std::string diagnosis_text(const Diagnosis& diagnosis);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace tessera
