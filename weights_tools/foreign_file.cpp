#include "weights_tools/foreign_file.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "weights_tools/foreign_readers.h"
#include "weights_tools/refusal.h"

namespace tessera {

namespace {

// Innermost dimension as a plain loop, the others counted like an odometer.
template <typename Element>
void copy_elements(const std::byte* storage, int64_t offset, std::span<const int64_t> shape,
                   std::span<const int64_t> stride, std::byte* destination) {
  const size_t rank = shape.size();
  const int64_t inner = rank > 0 ? shape[rank - 1] : 1;
  const int64_t step = rank > 0 ? stride[rank - 1] : 1;
  std::vector<int64_t> index(rank, 0);
  int64_t at = offset;
  for (;;) {
    const std::byte* from = storage + static_cast<size_t>(at) * sizeof(Element);
    if (step == 1) {
      std::memcpy(destination, from, static_cast<size_t>(inner) * sizeof(Element));
    } else {
      for (int64_t i = 0; i < inner; ++i) {
        std::memcpy(destination + static_cast<size_t>(i) * sizeof(Element),
                    from + static_cast<size_t>(i * step) * sizeof(Element), sizeof(Element));
      }
    }
    destination += static_cast<size_t>(inner) * sizeof(Element);
    size_t axis = rank > 0 ? rank - 1 : 0;
    for (;;) {
      if (axis == 0) return;
      --axis;
      at += stride[axis];
      if (++index[axis] < shape[axis]) break;
      at -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

int64_t ForeignTensor::elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::string ForeignTensor::text() const { return fmt::format("[{}] {}", fmt::join(shape, ", "), dtype); }

uint64_t largest_content(uint64_t file_bytes) { return std::max<uint64_t>(uint64_t{64} << 20, 4 * file_bytes); }

void copy_strided(std::span<const std::byte> storage, int64_t offset, std::span<const int64_t> shape,
                  std::span<const int64_t> stride, size_t element_bytes, std::byte* destination) {
  int64_t last = offset, count = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    count *= shape[i];
    last += (shape[i] - 1) * stride[i];
  }
  if (count == 0) return;
  TESSERA_CHECK(offset >= 0 && last >= 0 && (static_cast<uint64_t>(last) + 1) * element_bytes <= storage.size(),
                "element {} of {} bytes", last, storage.size());
  switch (element_bytes) {
    case 1:
      return copy_elements<uint8_t>(storage.data(), offset, shape, stride, destination);
    case 2:
      return copy_elements<uint16_t>(storage.data(), offset, shape, stride, destination);
    case 4:
      return copy_elements<uint32_t>(storage.data(), offset, shape, stride, destination);
    default:
      TESSERA_CHECK(element_bytes == 8, "{} bytes", element_bytes);
      return copy_elements<uint64_t>(storage.data(), offset, shape, stride, destination);
  }
}

std::unique_ptr<ForeignFile> open_foreign_file(const std::filesystem::path& file, const ForeignFileOptions& options) {
  const std::string name = file.string();
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) refuse_weights(name, "a folder, not a file", "ls " + name);
  std::ifstream stream(file, std::ios::binary);
  if (!stream) refuse_weights(name, "cannot open", "ls -l " + name);
  std::string head(264, '\0');
  stream.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(stream.gcount()));
  if (head.empty()) refuse_weights(name, "the file is empty", kTryAgain);
  if (head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06")) return open_zip_pth(file, options);
  if (head.starts_with(std::string_view(kLegacyMagic, sizeof(kLegacyMagic) - 1))) return open_legacy_pth(file, options);
  // The eighth byte of a header's length is 0 for every length a header can have.
  const bool text = head.starts_with("<!") || head.starts_with("<html") || head.starts_with("version https://git-lfs");
  if (text) refuse_weights(name, "a web page or a Git LFS pointer, not a weight file", kTryAgain);
  if (head.size() >= 262 && head.substr(257, 5) == "ustar")
    refuse_weights(name, "a tar archive (PyTorch before 0.1.12)", kTryStateDict);
  const bool pickle = head[0] == '\x80' && head.size() > 1 && head[1] >= 0 && head[1] <= 5;
  if (pickle && !(head.size() > 8 && head[8] == '{')) return open_numpy_pickle(file, options);
  const bool zeros = std::ranges::all_of(head, [](char byte) { return byte == 0; });
  if (zeros && file.extension() != ".safetensors")
    refuse_weights(name, "it begins with zeros (an interrupted download or copy)", kTryAgain);
  if (file.extension() != ".safetensors" && !(head.size() > 8 && (head[8] == '{' || head[8] == ' ')))
    refuse_weights(name, "neither safetensors nor a PyTorch checkpoint nor a pickle", kTryAgain);
  return open_safetensors(file);
}

}  // namespace tessera
