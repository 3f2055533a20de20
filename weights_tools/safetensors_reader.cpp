#include "engine/io/safetensors.h"

#include "weights_tools/foreign_readers.h"
#include "weights_tools/pickle_globals.h"
#include "weights_tools/refusal.h"

namespace tessera {

namespace {

class SafetensorsReader final : public ForeignFile {
 public:
  explicit SafetensorsReader(const std::filesystem::path& file) : ForeignFile(file, "safetensors"), file_(file) {
    for (size_t i = 0; i < file_.entries().size(); ++i) {
      const SafetensorsEntry& entry = file_.entries()[i];
      if (foreign_dtype_bytes(entry.dtype) == 0) {
        refuse_weights(fmt::format("{}: tensor \"{}\"", path_.string(), entry.name),
                       fmt::format("dtype {} is not supported", entry.dtype), "save it as float32 or float16");
      }
      ForeignTensor tensor{entry.name, entry.dtype, entry.shape, std::vector<int64_t>(entry.shape.size(), 1), 0, i};
      for (size_t axis = entry.shape.size(); axis-- > 1;) {
        tensor.stride[axis - 1] = tensor.stride[axis] * std::max<int64_t>(entry.shape[axis], 1);
      }
      tensors_.push_back(std::move(tensor));
    }
  }

  std::span<const std::byte> storage(const ForeignTensor& tensor) override {
    const SafetensorsEntry& entry = file_.entries()[tensor.storage];
    bytes_.resize(entry.bytes());
    file_.read(entry, bytes_.data());
    return bytes_;
  }

 private:
  SafetensorsFile file_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::unique_ptr<ForeignFile> open_safetensors(const std::filesystem::path& file) {
  return std::make_unique<SafetensorsReader>(file);
}

}  // namespace tessera
