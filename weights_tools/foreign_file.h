// A weight file of another program: named tensors as views of the memory blocks ("storages") the file holds. Readers
// check everything before the first tensor is read; tensors are then read storage by storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera {

struct ForeignTensor {
  std::string name;
  std::string dtype;  // as safetensors spells it: "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;  // elements
  int64_t offset = 0;           // elements
  size_t storage = 0;

  int64_t elements() const;
  std::string text() const;  // "[64, 3, 7, 7] F32"
};

class ForeignFile {
 public:
  virtual ~ForeignFile() = default;

  const std::filesystem::path& path() const { return path_; }
  const std::string& format() const { return format_; }        // "PyTorch .pth", for people
  const std::string& container() const { return container_; }  // key the tensors stood under: "model", or ""
  // In the order of their storages, so that reading in this order reads every storage once.
  const std::vector<ForeignTensor>& tensors() const { return tensors_; }
  // Entries among the tensors that are none: numbers, texts, ...
  const std::vector<std::string>& others() const { return others_; }

  // The bytes of a storage, valid until the next call. Checks its checksum where the format has one; throws
  // Error(weights) naming the tensor.
  virtual std::span<const std::byte> storage(const ForeignTensor& tensor) = 0;

 protected:
  ForeignFile(std::filesystem::path path, std::string format) : path_(std::move(path)), format_(std::move(format)) {}

  std::filesystem::path path_;
  std::string format_, container_;
  std::vector<ForeignTensor> tensors_;
  std::vector<std::string> others_;
};

struct ForeignFileOptions {
  std::string key;                // entry of the file that holds the tensors, dotted; empty: found by its name
  bool ignore_checksums = false;  // of zip entries (torch.serialization.set_crc32_options(False) writes wrong ones)
};

// Recognises the format by content: safetensors, .pth (zip, or the older form), pickles of detectron2 and Caffe2.
// Throws Error(weights) "FILE: <place>: <reason>" for damaged, hostile and unknown files.
std::unique_ptr<ForeignFile> open_foreign_file(const std::filesystem::path& file,
                                               const ForeignFileOptions& options = {});

// A contiguous copy of a view. offset and stride in elements of element_bytes.
void copy_strided(std::span<const std::byte> storage, int64_t offset, std::span<const int64_t> shape,
                  std::span<const int64_t> stride, size_t element_bytes, std::byte* destination);

// Largest sum of the bytes of all tensors of a file: views may repeat elements, but not without end.
uint64_t largest_content(uint64_t file_bytes);

}  // namespace tessera
