// Writes pickles, zip archives and checkpoints byte by byte, good ones and hostile ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/error.h"
#include "weights_tools/foreign_file.h"

namespace tessera::testing_support {

template <typename T>
std::string little(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Opcodes of a pickle in the order they are called.
class PickleBuilder {
 public:
  explicit PickleBuilder(int protocol = 2) : protocol_(protocol) {
    raw("\x80").raw(std::string(1, static_cast<char>(protocol)));
  }

  PickleBuilder& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  PickleBuilder& text(std::string_view value) {
    if (protocol_ >= 4) return raw("\x8c").raw(std::string(1, static_cast<char>(value.size()))).raw(value);
    return raw("X").raw(little(static_cast<uint32_t>(value.size()))).raw(value);
  }
  PickleBuilder& integer(int64_t value) {
    if (value >= INT32_MIN && value <= INT32_MAX) return raw("J").raw(little(static_cast<int32_t>(value)));
    return raw("\x8a\x08").raw(little(value));
  }
  PickleBuilder& global(std::string_view module, std::string_view name) {
    if (protocol_ >= 4) return text(module).text(name).raw("\x93");
    return raw("c").raw(module).raw("\n").raw(name).raw("\n");
  }
  PickleBuilder& integers(const std::vector<int64_t>& values) {
    raw("(");
    for (const int64_t value : values) integer(value);
    return raw("t");
  }
  // torch._utils._rebuild_tensor_v2(...)
  PickleBuilder& tensor(std::string_view type, std::string_view key, int64_t storage_elements, int64_t offset,
                        const std::vector<int64_t>& shape, const std::vector<int64_t>& stride, bool legacy = false) {
    global("torch._utils", "_rebuild_tensor_v2").raw("((").text("storage").global("torch", type).text(key).text("cpu");
    integer(storage_elements);
    if (legacy) raw("N");
    raw("tQ").integer(offset).integers(shape).integers(stride).raw("\x89").global("collections", "OrderedDict");
    return raw(")RtR");
  }
  std::string stop() const { return bytes_ + "."; }

 private:
  int protocol_;
  std::string bytes_;
};

inline uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// An archive as torch.save writes it: stored entries, sizes only in the central directory.
inline std::string zip_archive(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes, directory;
  for (const auto& [name, content] : entries) {
    const uint32_t at = static_cast<uint32_t>(bytes.size()), size = static_cast<uint32_t>(content.size());
    const uint32_t crc = crc32_of(content);
    const std::string moment = little(uint16_t{0}) + little(uint16_t{0});
    bytes += "PK\x03\x04" + little(uint16_t{0}) + little(uint16_t{8}) + little(uint16_t{0}) + moment +
             std::string(12, '\0') + little(static_cast<uint16_t>(name.size())) + little(uint16_t{0}) + name + content;
    bytes += "PK\x07\x08" + little(crc) + little(size) + little(size);
    directory += "PK\x01\x02" + little(uint16_t{0}) + little(uint16_t{0}) + little(uint16_t{8}) + little(uint16_t{0}) +
                 moment + little(crc) + little(size) + little(size) + little(static_cast<uint16_t>(name.size())) +
                 std::string(12, '\0') + little(at) + name;
  }
  const auto count = little(static_cast<uint16_t>(entries.size()));
  return bytes + directory + "PK\x05\x06" + std::string(4, '\0') + count + count +
         little(static_cast<uint32_t>(directory.size())) + little(static_cast<uint32_t>(bytes.size())) +
         std::string(2, '\0');
}

// A .pth of float tensors, each contiguous in its own storage.
struct NamedFloats {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

inline std::vector<int64_t> contiguous_stride(const std::vector<int64_t>& shape) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;) stride[axis - 1] = stride[axis] * shape[axis];
  return stride;
}

inline std::string float_bytes(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

// container: the key the tensors stand under, "" for the root.
inline std::string zip_pth(const std::vector<NamedFloats>& tensors, const std::string& container = "",
                           int protocol = 2) {
  PickleBuilder pickle(protocol);
  if (!container.empty()) pickle.raw("}").text(container);
  pickle.raw("}(");
  std::vector<std::pair<std::string, std::string>> entries(1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const NamedFloats& tensor = tensors[i];
    const std::string key = std::to_string(i);
    pickle.text(tensor.name)
        .tensor("FloatStorage", key, static_cast<int64_t>(tensor.values.size()), 0, tensor.shape,
                contiguous_stride(tensor.shape));
    entries.emplace_back("archive/data/" + key, float_bytes(tensor.values));
  }
  pickle.raw("u");
  if (!container.empty()) pickle.raw("s");
  entries[0] = {"archive/data.pkl", pickle.stop()};
  entries.emplace_back("archive/version", "3\n");
  return zip_archive(entries);
}

// A .pth of PyTorch before 1.6: "w", 2 x 2, column by column.
inline std::string legacy_pth() {
  const std::string magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const std::string machine = PickleBuilder().raw("}(").text("little_endian").raw("\x88u").stop();
  const std::string object =
      PickleBuilder().raw("}").text("w").tensor("FloatStorage", "7", 4, 0, {2, 2}, {1, 2}, true).raw("s").stop();
  const std::string keys = PickleBuilder().raw("](").text("7").raw("e").stop();
  return magic + "\x80\x02M\xe9\x03." + machine + object + keys + little(int64_t{4}) + float_bytes({1, 2, 3, 4});
}

// What detectron2 and Caffe2 publish: a dict of numpy arrays, "w" of two floats.
inline std::string numpy_pickle(int protocol) {
  PickleBuilder pickle(protocol);
  pickle.raw("}").text("w").global("numpy.core.multiarray", "_reconstruct").raw("(").global("numpy", "ndarray");
  pickle.raw("K")
      .raw(std::string(1, '\0'))
      .raw(
          "\x85U\x01"
          "btR(K\x01")
      .integers({2})
      .global("numpy", "dtype")
      .raw("(")
      .text("f4");
  pickle.raw("\x89\x88tR(K\x03").text("<").raw("NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK").raw(std::string(1, '\0'));
  pickle.raw("tb\x89U\x08").raw(float_bytes({1.5f, -2.0f})).raw("tbs");
  return pickle.stop();
}

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Some file systems flush a file that is cut to nothing and written again: a new one is quicker.
inline std::filesystem::path spill(const std::filesystem::path& file, std::string_view content) {
  std::filesystem::remove(file);
  std::ofstream(file, std::ios::binary) << content;
  return file;
}

inline std::vector<std::byte> read_tensor(ForeignFile& file, const ForeignTensor& tensor, size_t element_bytes) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.elements()) * element_bytes);
  copy_strided(file.storage(tensor), tensor.offset, tensor.shape, tensor.stride, element_bytes, bytes.data());
  return bytes;
}

}  // namespace tessera::testing_support
