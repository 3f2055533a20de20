#include "apps/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "apps/verbs.h"
#include "engine/core/dispatch.h"
#include "engine/core/error.h"
#include "engine/core/memory_table.h"
#include "engine/io/json_text.h"
#include "engine/ops/conv2d.h"
#include "kernels/cuda/libraries.h"
#include "kernels/cuda_devices.h"
#include "kernels/not_yet.h"
#include "kernels/occupancy.h"

namespace tessera {

namespace {

constexpr uint64_t kGiB = uint64_t(1) << 30;
constexpr uint64_t kLittleMemory = 2 * kGiB;  // the demo needs less, a training at full size more
constexpr uint64_t kLittleDisk = kGiB;        // a run keeps several checkpoints of a few hundred MiB

const char* status_name(CheckStatus status) {
  switch (status) {
    case CheckStatus::ok:
      return "ok";
    case CheckStatus::warning:
      return "warning";
    case CheckStatus::failed:
      return "failed";
  }
  return "unknown";
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

// Ones convolved with ones: every result counts the inputs under the window, so the right answer is known exactly.
DoctorCheck check_kernels(Context& context) {
  constexpr int64_t height = 5, width = 6, in = 8, out = 16;
  Tape tape(context, Tape::Mode::forward);
  const auto ones = [&](const Shape& shape) {
    const std::vector<float> values(static_cast<size_t>(shape.elements()), 1.0f);
    return Variable(Tensor::from_host<float>(context, shape, values));
  };
  const Variable y =
      conv2d(tape, {ones({1, height, width, in}), ones({out, 3, 3, in}), {}, {}, {}, {}}, {.padding = 1});
  const std::vector<float> values = y.value.to_host<float>(context);
  for (int64_t row = 0; row < height; ++row) {
    for (int64_t column = 0; column < width; ++column) {
      const int64_t rows = 3 - (row == 0) - (row == height - 1), columns = 3 - (column == 0) - (column == width - 1);
      for (int64_t channel = 0; channel < out; ++channel) {
        const float value = values[static_cast<size_t>((row * width + column) * out + channel)];
        if (value != static_cast<float>(rows * columns * in)) {
          return {"kernels", CheckStatus::failed,
                  fmt::format("a convolution gives {} where {} is right", value, rows * columns * in),
                  "make clean && make (and memtester, if it stays)"};
        }
      }
    }
  }
  return {"kernels", CheckStatus::ok, "a convolution with a known answer is exact", ""};
}

BackendFact find_backend(const char* name, int threads) {
  const std::vector<const char*> missing = kernels_not_yet_on_devices();
  BackendFact fact{name, true, "", {}};
  if (std::string_view(name) != "cpu") fact.missing_kernels.assign(missing.begin(), missing.end());
  try {
    make_context(parse_device(name), threads);
  } catch (const Error& error) {
    fact.available = false;
    fact.reason = error.what();
  }
  return fact;
}

// "cpu", or "cuda (why not)", or "emulated (lacks these kernels)".
std::string backend_text(const BackendFact& backend) {
  std::vector<std::string> remarks;
  if (!backend.available) remarks.push_back(backend.reason);
  if (!backend.missing_kernels.empty()) remarks.push_back("lacks " + join_words(backend.missing_kernels, ", "));
  return backend.name + (remarks.empty() ? "" : " (" + join_words(remarks, "; ") + ")");
}

#if TESSERA_CUDA
// "cuBLAS 13.1.0, cuDNN (not part of this build)"
std::string cuda_libraries_text() {
  std::vector<std::string> words;
  for (const LibraryFact& library : find_cuda_libraries()) {
    words.push_back(library.name + (library.built_in ? " " + library.state : " (not part of this build)"));
  }
  return join_words(words, ", ");
}

std::string cuda_libraries_json() {
  std::string rows;
  for (const LibraryFact& library : find_cuda_libraries()) {
    JsonObject one;
    one.add("name", library.name).add("built_in", library.built_in).add("state", library.state);
    rows += (rows.empty() ? "" : ", ") + one.text();
  }
  return "[" + rows + "]";
}

std::string occupancy_text() {
  std::string text = fmt::format(
      "\noccupancy of the main kernels on compute capability 8.6: predicted by CUDA's calculator, not measured\n"
      "{:<66} {:>7} {:>9} {:>6} {:>6} {:>5}  {}\n",
      "kernel", "threads", "registers", "shared", "blocks", "warps", "limit");
  for (const KernelOccupancy& row : predict_occupancies()) {
    const KernelResources& resources = row.resources;
    fmt::format_to(std::back_inserter(text), "{:<66} {:>7} {:>9} {:>6} {:>6} {:>4.0f}%  {}\n", resources.kernel,
                   resources.threads, resources.registers, resources.shared_bytes, row.blocks, 100 * row.warps,
                   row.limit);
  }
  return text;
}

std::string occupancy_json() {
  std::string rows;
  for (const KernelOccupancy& row : predict_occupancies()) {
    JsonObject one;
    one.add("kernel", row.resources.kernel).add("threads", row.resources.threads);
    one.add("registers", row.resources.registers).add("shared_bytes", row.resources.shared_bytes);
    one.add("blocks", row.blocks).add("warps", row.warps).add("limit", row.limit);
    rows += (rows.empty() ? "" : ", ") + one.text();
  }
  return "[" + rows + "]";
}
#endif

}  // namespace

DoctorCheck check_processor(const Processor& processor, const std::vector<std::string>& compiled_for) {
  std::vector<std::string> missing;
  for (const std::string& set : compiled_for) {
    const auto& there = processor.instruction_sets;
    if (std::find(there.begin(), there.end(), set) == there.end()) missing.push_back(set);
  }
  if (missing.empty()) return {"processor", CheckStatus::ok, describe(processor), ""};
  return {"processor", CheckStatus::failed,
          fmt::format("the binary was built for {}, which this processor lacks", join_words(missing, " ")),
          "make clean && make (or ARCH=x86-64-v3 for other machines)"};
}

DoctorCheck check_threads(const Processor& processor, int threads) {
  const int limit = processor.quota ? static_cast<int>(std::ceil(*processor.quota)) : processor.cores;
  const std::string message = fmt::format("{} thread{} on {} core{}", threads, threads == 1 ? "" : "s", processor.cores,
                                          processor.cores == 1 ? "" : "s");
  if (threads <= std::min(limit, processor.cores)) return {"threads", CheckStatus::ok, message, ""};
  return {"threads", CheckStatus::warning,
          message + (limit < processor.cores ? fmt::format(", of which the container allows {:.1f}", *processor.quota)
                                             : ": more threads than cores slow each other down"),
          fmt::format("--threads {}", std::max(1, std::min(limit, processor.cores)))};
}

DoctorCheck check_memory(const Memory& memory) {
  if (memory.total == 0) {
    return {"memory", CheckStatus::warning, "how much there is cannot be read", "mount /proc in this container"};
  }
  const std::string message =
      fmt::format("{} of {} available", format_bytes(double(memory.available)),
                  format_bytes(double(memory.limit ? std::min(*memory.limit, memory.total) : memory.total)));
  if (memory.available >= kLittleMemory) return {"memory", CheckStatus::ok, message, ""};
  return {"memory", CheckStatus::warning, message + ": too little for training at full size",
          "close other programs, or train.batch=1 and a smaller train.short_side"};
}

DoctorCheck check_disk(const Disk& disk) {
  const std::string place = disk.folder.string();
  if (!disk.writable) {
    return {"disk", CheckStatus::warning, place + " is not writable",
            "run in a folder of your own, or name one with --out"};
  }
  const std::string message = fmt::format("{} free in {}", format_bytes(double(disk.free)), place);
  if (disk.free >= kLittleDisk) return {"disk", CheckStatus::ok, message, ""};
  return {"disk", CheckStatus::warning, message + ": checkpoints may not fit",
          "free some space, or --out on another disk"};
}

DoctorCheck check_bf16(Bf16Path path) {
  std::string message = fmt::format("--precision bf16 on the CPU computes by {}", bf16_path_name(path));
  if (path == Bf16Path::portable) message = "--precision bf16 on the CPU computes in f32, with no gain in speed";
  return {"bf16", CheckStatus::ok, message, ""};
}

DoctorCheck check_gpu(const std::optional<DeviceFailure>& unused) {
  if (!unused) return {"GPU", CheckStatus::ok, "there is one, --device cuda uses it", ""};
  return {"GPU", CheckStatus::warning, unused->what(), unused->cure()};
}

Diagnosis diagnose(const std::string& device, int threads, const std::filesystem::path& folder) {
  Diagnosis diagnosis;
  diagnosis.compiler = compiler_text();
  diagnosis.threads = threads > 0 ? threads : CpuContext().threads();
  diagnosis.processor = find_processor();
  diagnosis.memory = find_memory();
  diagnosis.disk = find_disk(folder);
  diagnosis.gpu_driver = find_gpu_driver();
  for (const char* name : {"cpu", "cuda", "emulated"}) {
    diagnosis.backends.push_back(find_backend(name, diagnosis.threads));
  }
  diagnosis.libraries = find_libraries();
  diagnosis.device = parse_device(device).to_string();

  diagnosis.checks.push_back(check_processor(diagnosis.processor, compiled_instruction_sets()));
  diagnosis.checks.push_back(check_threads(diagnosis.processor, diagnosis.threads));
  diagnosis.checks.push_back(check_memory(diagnosis.memory));
  diagnosis.checks.push_back(check_disk(diagnosis.disk));
  diagnosis.checks.push_back(check_bf16(best_bf16_path()));
  try {
    const auto context = make_context(parse_device(device), diagnosis.threads);
    const bool on_cpu = context->backend() == Backend::cpu;
    if (on_cpu && diagnosis.gpu_driver) diagnosis.checks.push_back(check_gpu(unused_gpu()));
    diagnosis.checks.push_back(
        {"device", CheckStatus::ok,
         (on_cpu && !diagnosis.gpu_driver ? "no GPU: running on " : "running on ") + diagnosis.device, ""});
    diagnosis.checks.push_back(check_kernels(*context));
  } catch (const Error& error) {
    diagnosis.checks.push_back({"device", CheckStatus::failed, error.what(), error.hint()});
  }
  return diagnosis;
}

bool healthy(const Diagnosis& diagnosis) {
  return std::none_of(diagnosis.checks.begin(), diagnosis.checks.end(),
                      [](const DoctorCheck& check) { return check.status == CheckStatus::failed; });
}

std::string diagnosis_text(const Diagnosis& diagnosis) {
  std::string text = fmt::format("build       {}\n", diagnosis.compiler);
  std::vector<std::string> backends;
  for (const BackendFact& backend : diagnosis.backends) backends.push_back(backend_text(backend));
  fmt::format_to(std::back_inserter(text), "backends    {}\n", join_words(backends, ", "));
#if TESSERA_CUDA
  for (const CudaDevice& gpu : find_cuda_devices()) {
    fmt::format_to(std::back_inserter(text), "GPU         {}, compute capability {}.{}, {} processors, {}\n", gpu.name,
                   gpu.major, gpu.minor, gpu.processors, format_bytes(double(gpu.bytes)));
  }
#endif
#if TESSERA_CUDA
  fmt::format_to(std::back_inserter(text), "CUDA also   {}\n", cuda_libraries_text());
#endif
  fmt::format_to(std::back_inserter(text), "GPU driver  {}\n", diagnosis.gpu_driver.value_or("none"));
  std::vector<std::string> files;
  for (const LoadedLibrary& library : diagnosis.libraries) files.push_back(library.file);
  fmt::format_to(std::back_inserter(text), "libraries   {}\n\n",
                 files.empty() ? "linked into the binary" : join_words(files, ", "));
  for (const DoctorCheck& check : diagnosis.checks) {
    text += padded(status_name(check.status), 9) + padded(check.name, 11) + check.message + "\n";
    if (!check.cure.empty()) fmt::format_to(std::back_inserter(text), "                    try: {}\n", check.cure);
  }
#if TESSERA_CUDA
  text += occupancy_text();
#else
  text += "\noccupancy of CUDA kernels: predicted by builds that find a CUDA toolkit\n";
#endif
  return text;
}

std::string diagnosis_json(const Diagnosis& diagnosis) {
  const auto list = [](const auto& items, auto to_json) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ", ") + to_json(item);
    return "[" + text + "]";
  };
  const Processor& processor = diagnosis.processor;
  const Memory& memory = diagnosis.memory;
  JsonObject cpu;
  cpu.add("model", processor.model).add("cores", processor.cores).add("threads", diagnosis.threads);
  cpu.add_raw("quota", processor.quota ? json_number(*processor.quota) : "null");
  cpu.add_raw("instruction_sets", json_strings(processor.instruction_sets));
  JsonObject bytes;
  bytes.add("total_bytes", static_cast<int64_t>(memory.total));
  bytes.add("available_bytes", static_cast<int64_t>(memory.available));
  bytes.add_raw("limit_bytes", memory.limit ? std::to_string(*memory.limit) : "null");
  JsonObject disk;
  disk.add("folder", diagnosis.disk.folder.string()).add("free_bytes", static_cast<int64_t>(diagnosis.disk.free));
  disk.add("writable", diagnosis.disk.writable);
  JsonObject all;
  all.add("healthy", healthy(diagnosis)).add("device", diagnosis.device).add("compiler", diagnosis.compiler);
  all.add_raw("built_for", json_strings(compiled_instruction_sets()));
  all.add_raw("cpu", cpu.text()).add_raw("memory", bytes.text()).add_raw("disk", disk.text());
  all.add_raw("gpu_driver", diagnosis.gpu_driver ? json_string(*diagnosis.gpu_driver) : "null");
  all.add_raw("backends", list(diagnosis.backends, [](const BackendFact& backend) {
                JsonObject one;
                one.add("name", backend.name).add("available", backend.available).add("reason", backend.reason);
                one.add_raw("missing_kernels", json_strings(backend.missing_kernels));
                return one.text();
              }));
#if TESSERA_CUDA
  all.add_raw("predicted_occupancy", occupancy_json());
  all.add_raw("cuda_libraries", cuda_libraries_json());
#endif
  all.add_raw("libraries", list(diagnosis.libraries, [](const LoadedLibrary& library) {
                return JsonObject().add("name", library.name).add("file", library.file).text();
              }));
  all.add_raw("checks", list(diagnosis.checks, [](const DoctorCheck& check) {
                JsonObject one;
                one.add("name", check.name).add("status", status_name(check.status));
                return one.add("message", check.message).add("cure", check.cure).text();
              }));
  return all.text();
}

int run_doctor(const CommonOptions& common) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::current_path(error);
  const Diagnosis diagnosis = diagnose(common.device, common.threads, error ? "." : folder);
  const std::string text = common.json ? diagnosis_json(diagnosis) + "\n" : diagnosis_text(diagnosis);
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(healthy(diagnosis) ? ExitCode::ok : ExitCode::device);
}

}  // namespace tessera
