#include "engine/training/weights.h"

#include <algorithm>
#include <deque>
#include <unordered_set>

#include "engine/core/error.h"
#include "engine/io/sha256.h"

namespace tessera {

namespace {

struct NamedSlot {
  std::string name;
  Tensor tensor;
};

std::vector<NamedSlot> slots_of(const ParameterStore& store, bool momentum) {
  std::vector<NamedSlot> slots;
  for (const Parameter& parameter : store.parameters()) slots.push_back({parameter.name, parameter.value});
  if (!momentum) return slots;
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.trainable)
      slots.push_back({std::string(kMomentumPrefix) + parameter.name, store.momentum_of(parameter)});
  }
  for (const Parameter& parameter : store.parameters()) {
    if (!parameter.trainable || !store.second_moment().defined()) continue;
    slots.push_back({std::string(kSecondMomentPrefix) + parameter.name, store.second_moment_of(parameter)});
  }
  return slots;
}

bool is_host(Backend backend) { return backend == Backend::cpu || backend == Backend::emulated; }

void save(Context& context, const std::filesystem::path& file, const std::vector<NamedSlot>& slots,
          const Metadata& metadata) {
  std::deque<std::vector<float>> copies;  // of tensors that are not in host memory
  std::vector<SafetensorsSource> sources;
  for (const NamedSlot& slot : slots) {
    const auto extents = slot.tensor.shape().extents();
    const void* data = slot.tensor.raw();
    if (!is_host(slot.tensor.backend())) data = copies.emplace_back(slot.tensor.to_host<float>(context)).data();
    sources.push_back({slot.name, {extents.begin(), extents.end()}, data, DType::f32});
  }
  write_safetensors(file, std::move(sources), metadata);
}

std::string shape_text(const SafetensorsEntry& entry) {
  std::string text;
  for (const int64_t extent : entry.shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return fmt::format("[{}] {}", text, entry.dtype);
}

bool fits(const NamedSlot& slot, const SafetensorsEntry& entry) {
  const auto extents = slot.tensor.shape().extents();
  const bool readable = entry.dtype == "F32" || entry.dtype == "F16" || entry.dtype == "BF16";
  return readable && std::equal(extents.begin(), extents.end(), entry.shape.begin(), entry.shape.end());
}

// State of an optimizer.
bool is_momentum(const SafetensorsEntry& entry) {
  return entry.name.starts_with(kMomentumPrefix) || entry.name.starts_with(kSecondMomentPrefix);
}

void copy(Context& context, const NamedSlot& slot, const SafetensorsFile& file) {
  slot.tensor.copy_from_host(context, file.read_f32(*file.find(slot.name)).data());
}

void load_strict(Context& context, const std::vector<NamedSlot>& slots, const SafetensorsFile& file, bool momentum) {
  std::unordered_set<std::string> wanted;
  std::string table;
  int missing = 0, misshapen = 0, extra = 0;
  for (const NamedSlot& slot : slots) {
    wanted.insert(slot.name);
    const SafetensorsEntry* entry = file.find(slot.name);
    if (entry == nullptr) {
      ++missing;
      table += fmt::format("\n  missing  {} {}", slot.name, slot.tensor.shape().to_string());
    } else if (!fits(slot, *entry)) {
      ++misshapen;
      table += fmt::format("\n  differs  {}: the model has {} F32, the file {}", slot.name,
                           slot.tensor.shape().to_string(), shape_text(*entry));
    }
  }
  for (const SafetensorsEntry& entry : file.entries()) {
    if (wanted.contains(entry.name) || (!momentum && is_momentum(entry))) continue;
    ++extra;
    table += fmt::format("\n  extra    {} {}", entry.name, shape_text(entry));
  }
  const std::string name = file.path().string();
  if (!table.empty()) {
    throw Error(ExitCode::weights,
                fmt::format("{}: does not fit the model: {} missing, {} different, {} extra{}", name, missing,
                            misshapen, extra, table),
                fmt::format("tessera model info {}", name));
  }
  file.verify();
  for (const NamedSlot& slot : slots) copy(context, slot, file);
}

std::string hash(Context& context, const std::vector<NamedSlot>& slots) {
  Sha256 sha;
  for (const NamedSlot& slot : slots) {
    const std::vector<float> values = slot.tensor.to_host<float>(context);
    sha.update(slot.name.c_str(), slot.name.size() + 1).update(values.data(), values.size() * sizeof(float));
  }
  return sha.finish();
}

}  // namespace

void save_weights(Context& context, const std::filesystem::path& file, const ParameterStore& store,
                  const Metadata& metadata) {
  save(context, file, slots_of(store, false), metadata);
}

void save_weights_and_momentum(Context& context, const std::filesystem::path& file, const ParameterStore& store,
                               const Metadata& metadata) {
  save(context, file, slots_of(store, true), metadata);
}

void load_weights(Context& context, ParameterStore& store, const SafetensorsFile& file) {
  load_strict(context, slots_of(store, false), file, false);
}

void load_weights_and_momentum(Context& context, ParameterStore& store, const SafetensorsFile& file) {
  load_strict(context, slots_of(store, true), file, true);
}

LoadReport load_matching_weights(Context& context, ParameterStore& store, const SafetensorsFile& file) {
  LoadReport report;
  std::vector<NamedSlot> fitting;
  for (const NamedSlot& slot : slots_of(store, false)) {
    const SafetensorsEntry* entry = file.find(slot.name);
    if (entry == nullptr) {
      report.missing.push_back(slot.name);
    } else if (!fits(slot, *entry)) {
      report.mismatched.push_back(slot.name);
    } else {
      report.loaded.push_back(slot.name);
      fitting.push_back(slot);
    }
  }
  for (const SafetensorsEntry& entry : file.entries()) {
    if (!is_momentum(entry) && store.find(entry.name) == nullptr) report.unused.push_back(entry.name);
  }
  const std::string name = file.path().string();
  if (fitting.empty()) {
    throw Error(ExitCode::weights, fmt::format("{}: no tensor fits the model by name and shape", name),
                fmt::format("tessera model info {}", name));
  }
  file.verify();
  for (const NamedSlot& slot : fitting) copy(context, slot, file);
  return report;
}

uint64_t checkpoint_bytes(const ParameterStore& store) {
  uint64_t bytes = 0;
  for (const NamedSlot& slot : slots_of(store, store.momentum().defined())) bytes += slot.tensor.bytes();
  return bytes;
}

std::string weights_sha256(Context& context, const ParameterStore& store) {
  return hash(context, slots_of(store, false));
}

std::string momentum_sha256(Context& context, const ParameterStore& store) {
  std::vector<NamedSlot> slots;
  for (const Parameter& parameter : store.parameters()) {
    if (!parameter.trainable) continue;
    slots.push_back({parameter.name, store.momentum_of(parameter)});
    if (store.second_moment().defined()) slots.push_back({parameter.name, store.second_moment_of(parameter)});
  }
  return hash(context, slots);
}

}  // namespace tessera
