// Weight files: reading with every check of the format (spec data.md C.1), writing atomically with a checksum per
// tensor. Files of other writers have no checksums and are read all the same.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/dtype.h"
#include "engine/io/safetensors_header.h"

namespace tessera {

using Metadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  // Reads and checks the header, no tensor. Throws Error(weights): "FILE: tensor "x": <reason>".
  explicit SafetensorsFile(std::filesystem::path file);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }  // in the order of their data
  const SafetensorsEntry* find(std::string_view name) const;
  // Without the checksums.
  const Metadata& metadata() const { return header_.metadata; }
  bool has_checksums() const { return !checksums_.empty(); }

  // Reads all tensors once against their checksums, if the file has any. Throws Error(weights) naming the tensor.
  void verify() const;

  // entry.bytes() bytes as they stand in the file (little endian); checks the checksum.
  void read(const SafetensorsEntry& entry, void* destination) const;
  // As floats, from F32, F16, BF16, F64, I64, I32, U8 or BOOL; Error(weights) for other dtypes.
  std::vector<float> read_f32(const SafetensorsEntry& entry) const;

 private:
  void read_at(uint64_t offset, void* destination, size_t bytes, std::string_view what) const;
  void take_checksums();
  void compare_checksum(const SafetensorsEntry& entry, uint32_t crc) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t data_begin_ = 0;
  SafetensorsHeader header_;
  std::unordered_map<std::string, const SafetensorsEntry*> by_name_;
  std::unordered_map<std::string, uint32_t> checksums_;
};

struct SafetensorsSource {
  std::string name;
  std::vector<int64_t> shape;
  const void* data;  // host memory, contiguous
  DType dtype = DType::f32;
};

// Tensors sorted by alignment of the dtype (descending), then by name; header padded to 8 bytes; metadata and a CRC-32C
// of every tensor and of the header itself in "__metadata__". Atomic: throws WriteError, the old file stays.
// Error(internal) for a name given twice.
void write_safetensors(const std::filesystem::path& file, std::vector<SafetensorsSource> tensors,
                       const Metadata& metadata);

// Metadata keys that hold checksums: "crc32c/<tensor>" and, for everything else in the header, "crc32c".
inline constexpr std::string_view kChecksumKey = "crc32c";
inline constexpr std::string_view kChecksumPrefix = "crc32c/";

// Checksum of names, dtypes, shapes, metadata and tensor checksums; independent of the spelling of the JSON.
uint32_t safetensors_header_checksum(const SafetensorsHeader& header);

}  // namespace tessera
