#include "models/packed_detections.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "engine/core/dispatch.h"
#include "kernels/memory.h"
#include "kernels/staging.h"

namespace tessera {

namespace {

// Copies of tensors in the memory of the host, valid after wait().
class Downloads {
 public:
  Downloads(Context& context, size_t bytes) : context_(context), staging_(context, bytes, "results") {}

  // bytes: of the tensor's first elements. The copy begins at an address divisible by 8.
  const std::byte* add(const Tensor& tensor, size_t bytes) {
    std::byte* to = staging_.data<std::byte>() + used_;
    used_ += padded(bytes);
    TESSERA_CHECK(used_ <= staging_.bytes(), "{} of {} bytes", used_, staging_.bytes());
    dispatch(context_, [&](auto& device) { memory_download(device, to, tensor.raw(), bytes); });
    return to;
  }
  void wait() {
    dispatch(context_, [](auto& device) { memory_wait(device); });
  }

  static size_t padded(size_t bytes) { return (bytes + 7) / 8 * 8; }

 private:
  Context& context_;
  Staging staging_;
  size_t used_ = 0;
};

// What is read of every picture, whatever was found.
struct Header {
  const int32_t* count;
  const float* scores;
  const int32_t* labels;
  const float* boxes;
  const int32_t* rectangles;
  const int64_t* offsets;
};

std::vector<const Tensor*> header_of(const PackedDetections& packed) {
  return {&packed.count, &packed.scores, &packed.labels, &packed.boxes, &packed.rectangles, &packed.offsets};
}

template <typename T>
const T* as(const std::byte* bytes) {
  return reinterpret_cast<const T*>(bytes);
}

Header add_header(Downloads& downloads, const PackedDetections& packed) {
  const std::byte* copies[6] = {};
  size_t at = 0;
  for (const Tensor* tensor : header_of(packed)) {
    copies[at++] = tensor->defined() ? downloads.add(*tensor, tensor->bytes()) : nullptr;
  }
  return {as<int32_t>(copies[0]), as<float>(copies[1]),   as<int32_t>(copies[2]),
          as<float>(copies[3]),   as<int32_t>(copies[4]), as<int64_t>(copies[5])};
}

// Of the masks in use, which are the first ones.
size_t mask_bytes(const PackedDetections& packed, const Header& header) {
  if (!packed.bits.defined() || *header.count == 0) return 0;
  if (header.offsets != nullptr) return static_cast<size_t>(header.offsets[*header.count]);
  return packed.bits.bytes() / static_cast<size_t>(packed.bits.extent(0)) * static_cast<size_t>(*header.count);
}

BitMask mask_of(const Header& header, int32_t index, const uint8_t* bits, const ImageGeometry& geometry) {
  if (header.rectangles == nullptr) {
    const int row_bytes = (geometry.original_width + 7) / 8;
    return tight_mask(bits + static_cast<ptrdiff_t>(index) * geometry.original_height * row_bytes,
                      geometry.original_height, geometry.original_width);
  }
  const int32_t* rectangle = header.rectangles + 4 * index;
  BitMask mask{rectangle[0], rectangle[1], rectangle[2], rectangle[3], {}};
  const uint8_t* begin = bits + header.offsets[index];  // masks begin at aligned offsets: behind them is padding
  mask.bits.assign(begin, begin + static_cast<ptrdiff_t>(mask.height) * mask.row_bytes());
  return mask;
}

std::vector<Detection> unpack_one(const Header& header, const uint8_t* bits, const ImageGeometry& geometry) {
  std::vector<Detection> detections;
  for (int32_t i = 0; i < *header.count; ++i) {
    Detection detection;
    detection.score = header.scores[i];
    detection.label = header.labels[i];
    if (bits != nullptr) {
      detection.has_mask = true;
      detection.mask = mask_of(header, i, bits, geometry);
    }
    if (header.boxes != nullptr) {
      const float* box = header.boxes + 4 * i;
      detection.box = {box[0], box[1], box[2], box[3]};
    } else {
      // A mask may vanish between the map and the picture.
      const BitMask& mask = detection.mask;
      if (mask.width == 0) continue;
      detection.box = {static_cast<float>(mask.x), static_cast<float>(mask.y), static_cast<float>(mask.x + mask.width),
                       static_cast<float>(mask.y + mask.height)};
    }
    detections.push_back(std::move(detection));
  }
  return detections;
}

}  // namespace

BitMask tight_mask(const uint8_t* bits, int height, int width) {
  const int row_bytes = (width + 7) / 8;
  int top = height, bottom = 0, left = width, right = 0;
  for (int y = 0; y < height; ++y) {
    const uint8_t* row = bits + static_cast<size_t>(y) * row_bytes;
    int first = 0, last = row_bytes - 1;
    while (first < row_bytes && row[first] == 0) ++first;
    if (first == row_bytes) continue;
    while (row[last] == 0) --last;
    top = std::min(top, y);
    bottom = y + 1;
    left = std::min(left, 8 * first + std::countr_zero(row[first]));
    right = std::max(right, 8 * last + std::bit_width(row[last]));
  }
  BitMask mask;
  if (right <= left) return mask;
  mask.x = left;
  mask.y = top;
  mask.width = right - left;
  mask.height = bottom - top;
  mask.bits.assign(static_cast<size_t>(mask.height) * mask.row_bytes(), 0);
  for (int y = 0; y < mask.height; ++y) {
    const uint8_t* row = bits + static_cast<size_t>(top + y) * row_bytes;
    uint8_t* out = mask.bits.data() + static_cast<size_t>(y) * mask.row_bytes();
    for (int x = 0; x < mask.width; ++x) {
      const int source = left + x;
      out[x / 8] = static_cast<uint8_t>(out[x / 8] | (row[source / 8] >> (source % 8) & 1) << (x % 8));
    }
  }
  return mask;
}

std::vector<std::vector<Detection>> unpack(Context& context, const std::vector<PackedDetections>& packed,
                                           const std::vector<ImageGeometry>& geometry) {
  TESSERA_CHECK(packed.size() == geometry.size(), "{} pictures, {} geometries", packed.size(), geometry.size());
  std::vector<std::vector<Detection>> detections(packed.size());
  if (context.backend() == Backend::plan) return detections;
  size_t bytes = 0;
  for (const PackedDetections& picture : packed) {
    for (const Tensor* tensor : header_of(picture)) bytes += tensor->defined() ? Downloads::padded(tensor->bytes()) : 0;
  }
  Downloads headers(context, bytes);
  std::vector<Header> header;
  for (const PackedDetections& picture : packed) header.push_back(add_header(headers, picture));
  headers.wait();

  bytes = 0;
  for (size_t i = 0; i < packed.size(); ++i) bytes += Downloads::padded(mask_bytes(packed[i], header[i]));
  Downloads masks(context, bytes);
  std::vector<const uint8_t*> bits;
  for (size_t i = 0; i < packed.size(); ++i) {
    const bool wanted = packed[i].bits.defined();
    bits.push_back(wanted ? as<uint8_t>(masks.add(packed[i].bits, mask_bytes(packed[i], header[i]))) : nullptr);
  }
  masks.wait();
  for (size_t i = 0; i < packed.size(); ++i) detections[i] = unpack_one(header[i], bits[i], geometry[i]);
  return detections;
}

}  // namespace tessera
