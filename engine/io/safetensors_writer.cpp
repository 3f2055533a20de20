#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/crc32c.h"
#include "engine/io/raw_safetensors.h"

namespace tessera {

namespace {

// Length first, so that no two lists of texts have the same bytes.
void add_text(uint32_t& crc, std::string_view text) {
  const uint64_t length = text.size();
  crc = crc32c(&length, sizeof(length), crc);
  crc = crc32c(text.data(), text.size(), crc);
}

// Key and value must be UTF-8; dump would throw a library exception without saying which.
std::string to_json_text(const nlohmann::ordered_json& json, const std::string& file) {
  try {
    return json.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ExitCode::internal, fmt::format("{}: a tensor name or metadata value is not UTF-8", file));
  }
}

}  // namespace

uint32_t safetensors_header_checksum(const SafetensorsHeader& header) {
  uint32_t crc = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    add_text(crc, entry.name);
    add_text(crc, entry.dtype);
    const uint64_t numbers[] = {entry.begin, entry.end, entry.shape.size()};
    crc = crc32c(numbers, sizeof(numbers), crc);
    crc = crc32c(entry.shape.data(), entry.shape.size() * sizeof(int64_t), crc);
  }
  for (const auto& [key, value] : header.metadata) {
    if (key == kChecksumKey) continue;
    add_text(crc, key);
    add_text(crc, value);
  }
  return crc;
}

void write_safetensors(const std::filesystem::path& file, std::vector<SafetensorsSource> tensors,
                       const Metadata& metadata) {
  std::vector<RawSafetensorsSource> raw;
  for (SafetensorsSource& tensor : tensors) {
    raw.push_back({std::move(tensor.name), safetensors_dtype_name(tensor.dtype), std::move(tensor.shape), tensor.data});
  }
  write_raw_safetensors(file, std::move(raw), metadata);
}

void write_raw_safetensors(const std::filesystem::path& file, std::vector<RawSafetensorsSource> tensors,
                           const Metadata& metadata) {
  const auto element_bytes = [](const RawSafetensorsSource& tensor) {
    return static_cast<uint64_t>(safetensors_dtype_bits(tensor.dtype)) / 8;
  };
  std::sort(tensors.begin(), tensors.end(), [&](const RawSafetensorsSource& a, const RawSafetensorsSource& b) {
    const uint64_t size_a = element_bytes(a), size_b = element_bytes(b);
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  SafetensorsHeader header;
  header.metadata = metadata;
  for (const auto& [key, value] : metadata) {
    TESSERA_CHECK(!key.starts_with(kChecksumKey), "metadata key '{}' is reserved", key);
  }
  for (const RawSafetensorsSource& tensor : tensors) {
    TESSERA_CHECK(tensor.name != "__metadata__", "a tensor cannot be named __metadata__");
    SafetensorsEntry entry;
    entry.name = tensor.name;
    entry.dtype = tensor.dtype;
    entry.shape = tensor.shape;
    entry.begin = header.entries.empty() ? 0 : header.entries.back().end;
    entry.end = entry.begin + static_cast<uint64_t>(entry.elements()) * element_bytes(tensor);
    const uint32_t crc = crc32c(tensor.data, entry.bytes());
    const bool fresh =
        header.metadata.emplace(std::string(kChecksumPrefix) + tensor.name, fmt::format("{:08x}", crc)).second;
    TESSERA_CHECK(fresh, "tensor '{}' given twice", tensor.name);
    header.entries.push_back(std::move(entry));
  }
  // Readers order entries by their data, then by size and name: the checksum must see them that way (empty tensors).
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  header.metadata[std::string(kChecksumKey)] = fmt::format("{:08x}", safetensors_header_checksum(header));

  nlohmann::ordered_json json;
  json["__metadata__"] = header.metadata;
  for (const SafetensorsEntry& entry : header.entries) {
    json[entry.name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = to_json_text(json, file.string());
  text.resize((text.size() + 7) / 8 * 8, ' ');
  TESSERA_CHECK(text.size() <= kMaxSafetensorsHeader, "header of {} bytes", text.size());

  AtomicFile out(file);
  const uint64_t length = text.size();
  out.write(&length, sizeof(length));
  out.write(text);
  for (const RawSafetensorsSource& tensor : tensors) {
    int64_t elements = 1;
    for (const int64_t extent : tensor.shape) elements *= extent;
    out.write(tensor.data, static_cast<size_t>(elements) * element_bytes(tensor));
  }
  out.commit();
}

}  // namespace tessera
